"""The operations an edge of a cell can be, by name. All are causal, and all are zero at PAD.

Each has two forms: `call` for whole histories, and what `served` gives for serving (see `latest`).

The paper's third family, "causal dilated convolution", differs from the second only by being
causal. Here every operation is, so the third family takes the next dilation instead (4 after 2).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from adarec_tf.sequence_model import MASKED_SCORE, CausalConv1D, causal_taps, ordered_sum
from adarec_tf.students.latest import Latest, Span, constant, norm_now, shared, summed


@keras.saving.register_keras_serializable("adarec_tf")
class Convolution(keras.layers.Layer):
    """Causal convolution, layer norm, ReLU; width is kept."""

    def __init__(self, kernel_size: int, dilation_rate: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolution [kernel_size, D, D]."""
        self.convolution = CausalConv1D(
            int(input_shape[-1] or 0), self.kernel_size, self.dilation_rate
        )
        self.convolution.build(input_shape)
        self.norm.build(input_shape)

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Maps states [B, L, D] with mask [B, L, 1] to [B, L, D]."""
        return tf.nn.relu(self.norm(self.convolution(states))) * mask

    def served(self) -> Latest:
        """The operation for serving, with its weights as they are now."""
        kernel, bias = constant(self.convolution.kernel), constant(self.convolution.bias)
        # The norm takes the mean away: a product without one spares it the work.
        kernel, bias = kernel - kernel.mean(axis=-1, keepdims=True), bias - bias.mean()
        width = kernel.shape[-1]
        matrix = kernel[::-1].reshape(-1, width)
        normalised = norm_now(self.norm, is_centred=True)

        def convolved(window: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(normalised(tf.nn.bias_add(tf.matmul(window, matrix), bias)))

        convolve = shared(convolved, [None, len(matrix)])

        def latest(states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
            del source
            taps = target.taps(states, self.kernel_size, self.dilation_rate)
            window = tf.reshape(tf.concat(taps, axis=-1), [-1, len(matrix)])
            length = 1 if target.num == 1 else target.size[1]
            return target.masked(tf.reshape(convolve(window), tf.stack([-1, length, width])))

        return latest


class _Weightless(keras.layers.Layer):
    """An operation without weights."""

    def latest(self, states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
        """Maps states [B, M, D] of a span to those [B, n, D] of a shorter one."""
        raise NotImplementedError

    def served(self) -> Latest:
        """The operation for serving."""
        return self.latest


@keras.saving.register_keras_serializable("adarec_tf")
class MaxPool(_Weightless):
    """Maximum over the present and the two steps before it, real positions only."""

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Maps states [B, L, D] with mask [B, L, 1] to [B, L, D]."""
        taps = zip(causal_taps(states, 3, 1), causal_taps(mask, 3, 1), strict=True)
        # The zeros of PAD, and of the time before the start, must not win over negative states.
        candidates = [tf.where(is_real > 0, tap, MASKED_SCORE) for tap, is_real in taps]
        return tf.reduce_max(tf.stack(candidates), axis=0) * mask

    def latest(self, states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
        """Maps states [B, M, D] of a span to those [B, n, D] of a shorter one."""
        real_states = tf.where(source.mask > 0, states, MASKED_SCORE)
        taps = target.taps(real_states, 3, fill=MASKED_SCORE)
        return target.masked(tf.maximum(tf.maximum(taps[0], taps[1]), taps[2]))


@keras.saving.register_keras_serializable("adarec_tf")
class AveragePool(_Weightless):
    """Mean over the present and the two steps before it, real positions only."""

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Maps states [B, L, D] with mask [B, L, 1] to [B, L, D]."""
        num_real = ordered_sum(causal_taps(mask, 3, 1))
        return ordered_sum(causal_taps(states, 3, 1)) / tf.maximum(num_real, 1.0) * mask

    def latest(self, states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
        """Maps states [B, M, D] of a span to those [B, n, D] of a shorter one."""
        num_real = tf.maximum(summed(target.taps(source.mask, 3)), 1.0)
        return target.masked(summed(target.taps(states, 3)) / num_real)


@keras.saving.register_keras_serializable("adarec_tf")
class Skip(_Weightless):
    """Passes its input on."""

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Maps states [B, L, D], zero at PAD, to themselves."""
        del mask
        return tf.identity(states)

    def latest(self, states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
        """Takes the states [B, n, D] of the shorter span."""
        return states if source.num == target.num else states[:, : target.num]


@keras.saving.register_keras_serializable("adarec_tf")
class Zero(_Weightless):
    """No edge at all."""

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Maps states [B, L, D] to zeros."""
        del mask
        return tf.zeros_like(states)

    def latest(self, states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
        """Zeros [B, n, D]."""
        del source
        return tf.zeros_like(states[:, : target.num])


class Primitive(NamedTuple):
    """An operation of the search space.

    Attributes:
      build: makes its layer, called as `layer(states [B, L, D], mask [B, L, 1])`.
      kernel_size: taps of its convolution; 0 if it has no weights.
      dilation_rate: steps between the taps; 0 if it has no weights.
      reach: how many steps back an output sees.
      is_causal: whether an output sees its own and earlier positions only.
    """

    build: Callable[[], keras.layers.Layer]
    kernel_size: int = 0
    dilation_rate: int = 0
    reach: int = 0
    is_causal: bool = True


def _convolution(kernel_size: int, dilation_rate: int) -> Primitive:
    return Primitive(
        lambda: Convolution(kernel_size, dilation_rate),
        kernel_size,
        dilation_rate,
        reach=(kernel_size - 1) * dilation_rate,
    )


NONE = "none"
SKIP = "skip"

PRIMITIVES: dict[str, Primitive] = {
    "conv_3": _convolution(3, 1),
    "conv_5": _convolution(5, 1),
    "dilated_2_conv_3": _convolution(3, 2),
    "dilated_2_conv_5": _convolution(5, 2),
    "dilated_4_conv_3": _convolution(3, 4),
    "dilated_4_conv_5": _convolution(5, 4),
    "max_pool_3": Primitive(MaxPool, reach=2),
    "average_pool_3": Primitive(AveragePool, reach=2),
    SKIP: Primitive(Skip),
    NONE: Primitive(Zero),
}
