"""The operations an edge of a cell can be, by name. All are causal, and all are zero at PAD.

Each has two forms: `call` for whole histories, and what `served` gives for serving, which computes
the latest positions alone.

The paper's third family, "causal dilated convolution", differs from the second only by being
causal. Here every operation is, so the third family takes the next dilation instead (4 after 2).
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.models.sequence_model import MASKED_SCORE, CausalConv1D, causal_taps, ordered_sum
from adarec_tf.models.students.incremental import (
    Latest,
    Span,
    constant,
    first,
    from_bytes,
    norm_now,
    windows,
)


class Convolution(keras.layers.Layer):
    """Causal convolution, layer norm, ReLU; width is kept.

    Args:
      kernel_size: taps.
      dilation_rate: steps between them.
      kernel_format: `float32` or `int8`.
    """

    def __init__(self, kernel_size: int, dilation_rate: int, kernel_format: str) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate
        self.kernel_format = kernel_format
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolution [kernel_size, D, D]."""
        self.convolution = CausalConv1D(
            int(input_shape[-1] or 0),
            self.kernel_size,
            self.dilation_rate,
            kernel_format=self.kernel_format,
        )
        self.convolution.build(input_shape)
        self.norm.build(input_shape)

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Convolves histories.

        Args:
          states: float32 [B, L, D].
          mask: float32 [B, L, 1].

        Returns:
          float32 [B, L, D].
        """
        return tf.nn.relu(self.norm(self.convolution(states))) * mask

    @property
    def served_bytes(self) -> int:
        """Size of the weights that serving reads."""
        num_taps, dim, width = self.convolution.kernel.shape
        size, num_vectors = (1, 4) if self.kernel_format == "int8" else (4, 3)
        return size * num_taps * dim * width + 4 * num_vectors * width

    def served(self) -> Latest:
        """The operation for serving, with its weights as they are now."""
        kernel, bias = constant(self.convolution.kernel), constant(self.convolution.bias)
        *_, width = kernel.shape
        kernel = kernel[::-1].reshape(-1, width)
        # The norm takes the mean away: a product without one spares it the work.
        bias = bias - bias.mean()
        matrix = _centered(kernel, in_bytes=self.kernel_format == "int8")
        normalized = norm_now(self.norm, is_centered=True)

        def activated(window: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(normalized(tf.nn.bias_add(tf.matmul(window, matrix()), bias)))

        convolve = tf.function(activated, [tf.TensorSpec([None, len(kernel)])])

        def latest(states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
            del source
            window = windows(states, target.num, self.kernel_size, self.dilation_rate)
            convolved = convolve(tf.reshape(window, [-1, len(kernel)]))
            return tf.reshape(convolved, [-1, target.num, width])

        return latest


def _centered(kernel: np.ndarray, *, in_bytes: bool) -> Callable[[], tf.Tensor]:
    """Gives the kernel [.., D] without its mean, from constants of four bytes a weight, or of one.

    A server computes it once from bytes, on loading.
    """
    if not in_bytes:
        centered = kernel - kernel.mean(axis=-1, keepdims=True)
        return lambda: tf.constant(centered)
    rounded = from_bytes(kernel, 0)

    def centered_again() -> tf.Tensor:
        matrix = rounded()
        return matrix - tf.reduce_mean(matrix, axis=-1, keepdims=True)

    return centered_again


class Weightless(keras.layers.Layer):
    """An operation without weights.

    Args:
      compute: makes of states [B, L, D], zero at PAD, and mask [B, L, 1] those of whole histories.
      latest: computes the latest positions alone, for serving.
    """

    served_bytes = 0

    def __init__(
        self, compute: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], latest: Latest
    ) -> None:
        super().__init__()
        self._compute = compute
        self._latest = latest

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Computes whole histories.

        Args:
          states: float32 [B, L, D], zero at PAD.
          mask: float32 [B, L, 1].
        """
        return self._compute(states, mask)

    def served(self) -> Latest:
        """The operation for serving."""
        return self._latest


def _max_pool(states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Maximum over the present and the two steps before it, real positions only."""
    taps = zip(causal_taps(states, 3, 1), causal_taps(mask, 3, 1), strict=True)
    # The zeros of PAD, and of the time before the start, must not win over negative states.
    candidates = [tf.where(is_real > 0, tap, MASKED_SCORE) for tap, is_real in taps]
    return tf.reduce_max(tf.stack(candidates), axis=0) * mask


def _latest_max_pool(states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
    real_states = states + (source.mask - 1.0) * -MASKED_SCORE
    return tf.reduce_max(windows(real_states, target.num, 3, fill=MASKED_SCORE), axis=2)


def _average_pool(states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean over the present and the two steps before it, real positions only."""
    num_real = ordered_sum(causal_taps(mask, 3, 1))
    return ordered_sum(causal_taps(states, 3, 1)) / tf.maximum(num_real, 1.0) * mask


def _latest_average_pool(states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
    num_real = tf.reduce_sum(windows(source.mask, target.num, 3), axis=2)
    return tf.reduce_sum(windows(states, target.num, 3), axis=2) / tf.maximum(num_real, 1.0)


class Primitive(NamedTuple):
    """An operation of the search space.

    Attributes:
      build: makes its layer, called as `layer(states [B, L, D], mask [B, L, 1])`, from the format
        of its kernel, `float32` or `int8`.
      kernel_size: taps of its convolution; 0 if it has no weights.
      dilation_rate: steps between the taps; 0 if it has no weights.
      reach: how many steps back an output sees.
      is_causal: whether an output sees its own and earlier positions only.
    """

    build: Callable[[str], keras.layers.Layer]
    kernel_size: int = 0
    dilation_rate: int = 0
    reach: int = 0
    is_causal: bool = True


def _convolution(kernel_size: int, dilation_rate: int) -> Primitive:
    return Primitive(
        lambda kernel_format: Convolution(kernel_size, dilation_rate, kernel_format),
        kernel_size,
        dilation_rate,
        reach=(kernel_size - 1) * dilation_rate,
    )


def _weightless(
    compute: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], latest: Latest, reach: int = 0
) -> Primitive:
    return Primitive(lambda _: Weightless(compute, latest), reach=reach)


NONE = "none"
SKIP = "skip"

PRIMITIVES: dict[str, Primitive] = {
    "conv_3": _convolution(3, 1),
    "conv_5": _convolution(5, 1),
    "dilated_2_conv_3": _convolution(3, 2),
    "dilated_2_conv_5": _convolution(5, 2),
    "dilated_4_conv_3": _convolution(3, 4),
    "dilated_4_conv_5": _convolution(5, 4),
    "max_pool_3": _weightless(_max_pool, _latest_max_pool, reach=2),
    "average_pool_3": _weightless(_average_pool, _latest_average_pool, reach=2),
    SKIP: _weightless(
        lambda states, mask: tf.identity(states),
        lambda states, source, target: first(states, target.num),
    ),
    NONE: _weightless(
        lambda states, mask: tf.zeros_like(states),
        lambda states, source, target: tf.zeros_like(first(states, target.num)),
    ),
}
