"""Computing the latest positions of a history alone, as serving needs them.

Time runs backwards here: index 0 holds the last item, index 1 the one before, padding comes last.
What the last item's state depends on is then a prefix, and a shorter history a shorter tensor.
Weights are constants of the graph: reading a variable costs as much as a small product. They are in
functions of their own (`shared`), so that a bundle has them once however many graphs read them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf


class Span(NamedTuple):
    """The latest positions of a history, or all of it if it is shorter.

    Attributes:
      num: how many positions at most.
      size: int32 [3], of a slice that takes them from states: [-1, n, -1].
      mask: float32 [B, n, 1], 1 at items.
    """

    num: int
    size: tf.Tensor
    mask: tf.Tensor

    @classmethod
    def of(cls, mask: tf.Tensor, num: int) -> "Span":
        """The first `num` positions of mask [B, N, 1], which begins with an item."""
        mask = mask[:, :num]
        length = 1 if num == 1 else tf.shape(mask)[1]
        return cls(num, tf.stack([-1, length, -1]), mask)

    def masked(self, states: tf.Tensor) -> tf.Tensor:
        """States [B, n, D], zero at padding; the last position is never padding."""
        return states if self.num == 1 else states * self.mask

    def taps(
        self, states: tf.Tensor, kernel_size: int, dilation_rate: int = 1, fill: float = 0.0
    ) -> list[tf.Tensor]:
        """The inputs of causal windows that end at the positions of the span.

        Args:
          states: [B, M, D], at least the span.
          kernel_size: number of taps.
          dilation_rate: steps between taps.
          fill: what stands before the start.

        Returns:
          `kernel_size` tensors [B, n, D], the latest first.
        """
        reach = (kernel_size - 1) * dilation_rate
        padded = tf.pad(states, [[0, 0], [0, reach], [0, 0]], constant_values=fill)
        return [tf.slice(padded, [0, i * dilation_rate, 0], self.size) for i in range(kernel_size)]


class Latest(Protocol):
    """An operation as it is served, with the weights its layer had when this was made."""

    def __call__(self, states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
        """Maps states [B, M, D] of a span to those [B, n, D] of a shorter one."""


def constant(variable: keras.Variable) -> np.ndarray:
    """The values of a variable now, also while a graph is traced."""
    with tf.init_scope():
        return keras.ops.convert_to_numpy(variable)


def shared(
    function: Callable[[tf.Tensor], tf.Tensor], shape: Sequence[int | None]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of a float32 tensor, whose graph and constants all that call it share."""
    return tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32)])


def norm_now(
    norm: keras.layers.LayerNormalization, *, is_centred: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A layer norm of states [..., D]; `is_centred` tells that their mean is zero already."""
    gamma, beta = constant(norm.gamma), constant(norm.beta)

    def normalised(states: tf.Tensor) -> tf.Tensor:
        if not is_centred:
            states -= tf.reduce_mean(states, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(states), axis=-1, keepdims=True)
        return states * tf.math.rsqrt(variance + norm.epsilon) * gamma + beta

    return normalised


def summed(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of tensors of one shape, in their order."""
    total = terms[0]
    for term in terms[1:]:
        total += term
    return total
