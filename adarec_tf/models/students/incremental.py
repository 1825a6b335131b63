"""Computing the latest positions of a history alone, as serving needs them.

Time runs backwards here: index 0 holds the last item, index 1 the one before, padding comes last.
What the last item's state depends on is then a prefix, of a length that the architecture fixes: no
length is known at run time only, so that nothing of the graph computes shapes. At this size a node
of the graph costs the more than a microsecond that it takes to be run at all, whatever it computes.
Weights are constants of the graph: reading a variable costs as much as a small product. They are in
compiled functions of their own, so that a bundle has them once however many graphs read them.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.models.quantization import quantize


class Span(NamedTuple):
    """The latest positions of a history, or all that the model sees if those are fewer.

    Attributes:
      num: how many positions, n.
      mask: float32 [B, n, 1], 1 at items.
    """

    num: int
    mask: tf.Tensor

    @classmethod
    def of(cls, mask: tf.Tensor, num: int) -> "Span":
        """The latest positions of some histories.

        Args:
          mask: float32 [B, N, 1], which begins with an item.
          num: how many at most.
        """
        mask = first(mask, num)
        return cls(mask.shape[1], mask)

    def masked(self, states: tf.Tensor) -> tf.Tensor:
        """States [B, n, D], zero at padding; the last position is never padding."""
        return states if self.num == 1 else states * self.mask


def first(states: tf.Tensor, num: int) -> tf.Tensor:
    """The first positions of some states, or all of them if there are fewer.

    Args:
      states: [B, M, D], M static.
      num: how many.
    """
    return states if states.shape[1] <= num else states[:, :num]


def windows(
    states: tf.Tensor, num: int, kernel_size: int, dilation_rate: int = 1, fill: float = 0.0
) -> tf.Tensor:
    """The inputs of causal windows that end at the first positions.

    Args:
      states: [B, M, D], M static.
      num: how many windows, n.
      kernel_size: taps of a window, K.
      dilation_rate: steps between taps.
      fill: what stands before the start.

    Returns:
      [B, n, K, D], the latest tap first.
    """
    places = np.arange(num)[:, np.newaxis] + dilation_rate * np.arange(kernel_size)
    length = states.shape[1]
    if places.max() >= length:  # the model sees no more items than these
        states = tf.pad(states, [[0, 0], [0, 1], [0, 0]], constant_values=fill)
        places = np.minimum(places, length)
    return tf.gather(states, places, axis=1)


class Latest(Protocol):
    """An operation as it is served, with the weights its layer had when this was made."""

    def __call__(self, states: tf.Tensor, source: Span, target: Span) -> tf.Tensor:
        """Computes the states of a span from those of a longer one.

        Args:
          states: float32 [B, M, D], zero at padding.
          source: their positions.
          target: the positions to compute, n of them.

        Returns:
          float32 [B, n, D]; of no meaning at padding.
        """


def constant(variable: keras.Variable) -> np.ndarray:
    """The values of a variable now, also while a graph is traced."""
    with tf.init_scope():
        return keras.ops.convert_to_numpy(variable)


def from_bytes(values: np.ndarray, axis: int) -> Callable[[], tf.Tensor]:
    """Gives values [...] that a bundle has in bytes; a server computes them once, on loading.

    Args:
      values: float32.
      axis: what a scale runs over.
    """
    with tf.init_scope():
        steps, scales = (part.numpy() for part in quantize(tf.constant(values), (axis,)))
    steps = steps.astype(np.int8)
    return lambda: tf.cast(tf.constant(steps), tf.float32) * scales


def norm_now(
    norm: keras.layers.LayerNormalization, *, is_centered: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A layer norm of states [..., D], with the weights it has now.

    Args:
      norm: the layer.
      is_centered: whether the mean of the states is zero already.
    """
    gamma, beta = constant(norm.gamma), constant(norm.beta)

    def normalized(states: tf.Tensor) -> tf.Tensor:
        if not is_centered:
            states -= tf.reduce_mean(states, axis=-1, keepdims=True)
        # As their mean is zero, this has the mean of the squares and epsilon in one.
        squares = tf.math.squared_difference(states, norm.epsilon**0.5)
        variance = tf.reduce_mean(squares, axis=-1, keepdims=True)
        return states * tf.math.rsqrt(variance) * gamma + beta

    return normalized
