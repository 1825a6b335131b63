"""Layer norm over channels, with a gradient that may be differentiated once more."""

import keras
import tensorflow as tf


def channel_moments(states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance over channels.

    As `tf.nn.moments`, which Keras uses too, but for the gradient's own gradient: there the mean
    inside the variance is a constant, which is right once and wrong twice.

    Args:
      states: float32 [..., D].

    Returns:
      float32 [..., 1] each.
    """
    return tf.reduce_mean(states, axis=-1, keepdims=True), _channel_variance(states)


@tf.custom_gradient
def _channel_variance(states: tf.Tensor):  # type: ignore[no-untyped-def]
    mean = tf.reduce_mean(states, axis=-1, keepdims=True)
    squares = tf.math.squared_difference(states, mean)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        num_channels = tf.cast(tf.shape(states)[-1], states.dtype)
        return 2.0 * (upstream / num_channels) * (states - mean)

    return tf.reduce_mean(squares, axis=-1, keepdims=True), gradient


class ChannelNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over channels, with `channel_moments`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalizes float32 [..., D], then scales and shifts each channel."""
        mean, variance = channel_moments(inputs)
        scale = tf.math.rsqrt(variance + self.epsilon) * tf.convert_to_tensor(self.gamma)
        return inputs * scale + (tf.convert_to_tensor(self.beta) - mean * scale)
