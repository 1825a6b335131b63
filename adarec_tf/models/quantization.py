"""Weights as small integers, with a scale for each group of them."""

from collections.abc import Sequence

import tensorflow as tf

INT8_MAX = 127
A_ROW = (-1,)  # axes of what has a scale, where each row of a table has one
# Below every scale of real weights: a group of zeros has steps of this size, none of them taken.
_SMALLEST_SCALE = 1e-30


def quantize(
    values: tf.Tensor, axes: Sequence[int], largest: int = INT8_MAX
) -> tuple[tf.Tensor, tf.Tensor]:
    """Rounds each group of values to multiples of its scale.

    Args:
      values: float32 [...].
      axes: what a group runs over.
      largest: of the integers: a group's largest value is so many times its scale.

    Returns:
      float32 integers within ±largest of the same shape, and scales, of length 1 along `axes`.
    """
    scales = tf.reduce_max(tf.abs(values), axis=axes, keepdims=True) / largest
    scales = tf.maximum(scales, _SMALLEST_SCALE)
    return tf.clip_by_value(tf.round(values / scales), -largest, largest), scales


def fake_quantize(values: tf.Tensor, axes: Sequence[int], largest: int = INT8_MAX) -> tf.Tensor:
    """What integers keep of values; the gradient is that of the identity.

    So the floats that are trained learn what the rounded weights should be, and validation measures
    what is served.

    Args:
      values: float32 [...].
      axes: what a group with a scale of its own runs over.
      largest: of the integers.
    """

    @tf.custom_gradient
    def straight_through(values: tf.Tensor):  # type: ignore[no-untyped-def]
        steps, scales = quantize(values, axes, largest)
        return steps * scales, lambda upstream: upstream

    return straight_through(values)
