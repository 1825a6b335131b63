"""Weights in bytes: integers within ±127 and a scale for each group of them."""

from collections.abc import Sequence

import tensorflow as tf

_INT8_MAX = 127
# Below every scale of real weights: a group of zeros has steps of this size, none of them taken.
_SMALLEST_SCALE = 1e-30


def quantise(values: tf.Tensor, axes: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Rounds each group of values to multiples of its scale.

    Args:
      values: float32 [...].
      axes: what a group runs over; the largest value of a group is 127 times its scale.

    Returns:
      float32 integers within ±127 of the same shape, and scales, of length 1 along `axes`.
    """
    scales = tf.reduce_max(tf.abs(values), axis=axes, keepdims=True) / _INT8_MAX
    scales = tf.maximum(scales, _SMALLEST_SCALE)
    return tf.clip_by_value(tf.round(values / scales), -_INT8_MAX, _INT8_MAX), scales


def rounded(values: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    """What bytes keep of values; the gradient is that of the identity.

    So the floats that are trained learn what the rounded weights should be, and validation measures
    what is served.
    """

    @tf.custom_gradient
    def straight_through(values: tf.Tensor):  # type: ignore[no-untyped-def]
        steps, scales = quantise(values, axes)
        return steps * scales, lambda upstream: upstream

    return straight_through(values)
