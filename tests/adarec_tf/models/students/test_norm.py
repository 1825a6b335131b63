import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.students.norm import ChannelNorm, channel_moments

STATES = np.random.default_rng(0).normal(0.3, 1.2, (3, 5)).astype(np.float32)
DIRECTION = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)


def _normalized(states: tf.Tensor, moments: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    mean, variance = moments
    return tf.reduce_sum(tf.sin((states - mean) * tf.math.rsqrt(variance + 1e-6) * DIRECTION))


def _plain_moments(states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    mean = tf.reduce_mean(states, axis=-1, keepdims=True)
    return mean, tf.reduce_mean(tf.square(states - mean), axis=-1, keepdims=True)


@pytest.mark.parametrize("compile_it", [False, True])
def test_both_gradients_are_those_of_the_formula(compile_it: bool) -> None:
    states = tf.constant(STATES)

    def gradients(moments_of: object) -> list[tf.Tensor]:
        with tf.GradientTape() as outer:
            outer.watch(states)
            with tf.GradientTape() as inner:
                inner.watch(states)
                value = _normalized(states, moments_of(states))  # type: ignore[operator]
            gradient = inner.gradient(value, states)
            along = tf.reduce_sum(gradient * DIRECTION)
        return [gradient, outer.gradient(along, states)]

    run = tf.function(gradients) if compile_it else gradients
    for ours, expected in zip(run(channel_moments), gradients(_plain_moments), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_it_is_the_layer_norm_of_keras() -> None:
    ours, theirs = (kind(epsilon=1e-6) for kind in (ChannelNorm, keras.layers.LayerNormalization))
    for layer in (ours, theirs):
        layer.build(STATES.shape)
        layer.gamma.assign(DIRECTION[0])
        layer.beta.assign(DIRECTION[1])
    np.testing.assert_allclose(ours(STATES), theirs(STATES), rtol=1e-5, atol=1e-6)
