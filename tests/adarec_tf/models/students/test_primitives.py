import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.students.primitives import PRIMITIVES

STATES = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
MASK = np.array([0, 1, 1, 1, 1, 1], np.float32).reshape(1, 6, 1)


def _apply(name: str, states: np.ndarray = STATES, mask: np.ndarray = MASK) -> np.ndarray:
    layer = PRIMITIVES[name].build("float32")
    layer.build((None, None, states.shape[-1]))
    return layer(tf.constant(states * mask), tf.constant(mask)).numpy()


@pytest.mark.parametrize("name", PRIMITIVES)
def test_shape_is_kept_and_padding_is_zero(name: str) -> None:
    result = _apply(name)
    assert result.shape == STATES.shape
    np.testing.assert_array_equal(result[:, 0], 0.0)


def test_pools_see_real_positions_only() -> None:
    negative = -np.abs(STATES)
    largest = _apply("max_pool_3", negative)
    np.testing.assert_allclose(largest[0, 1], negative[0, 1])
    np.testing.assert_allclose(largest[0, 2], negative[0, 1:3].max(axis=0))
    np.testing.assert_allclose(largest[0, 5], negative[0, 3:6].max(axis=0))
    mean = _apply("average_pool_3")
    np.testing.assert_allclose(mean[0, 1], STATES[0, 1], rtol=1e-6)
    np.testing.assert_allclose(mean[0, 2], STATES[0, 1:3].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(mean[0, 4], STATES[0, 2:5].mean(axis=0), rtol=1e-5)


def test_skip_and_none() -> None:
    np.testing.assert_array_equal(_apply("skip"), STATES * MASK)
    np.testing.assert_array_equal(_apply("none"), 0.0)


@pytest.mark.parametrize(
    ("name", "reach"),
    [
        ("conv_3", 2),
        ("conv_5", 4),
        ("dilated_2_conv_3", 4),
        ("dilated_2_conv_5", 8),
        ("dilated_4_conv_3", 8),
        ("dilated_4_conv_5", 16),
        ("max_pool_3", 2),
        ("average_pool_3", 2),
        ("skip", 0),
    ],
)
def test_how_far_back_an_operation_looks(name: str, reach: int) -> None:
    layer = PRIMITIVES[name].build("float32")
    layer.build((None, None, 4))
    states = tf.Variable(np.random.default_rng(1).normal(size=(1, 20, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        last = layer(states, tf.ones([1, 20, 1]))[0, -1, :]
        value = tf.reduce_sum(last * tf.constant([1.0, 2.0, -3.0, 0.5]))
    touched = np.abs(tape.gradient(value, states).numpy()).sum(axis=(0, 2))
    seen = np.flatnonzero(touched)
    assert seen.max() <= 19
    if name == "max_pool_3":  # its gradient goes to the winners only
        assert seen.min() >= 19 - reach
    else:
        assert seen.min() == 19 - reach


def test_a_kernel_in_bytes_has_a_scale_an_output_channel() -> None:
    layer = PRIMITIVES["conv_3"].build("int8")
    layer.build((None, None, 4))
    kernel = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float32)
    layer.convolution.kernel.assign(kernel)
    rounded = np.empty_like(kernel)
    for channel in range(4):
        scale = np.abs(kernel[:, :, channel]).max() / 127
        rounded[:, :, channel] = np.round(kernel[:, :, channel] / scale) * scale
    reference = PRIMITIVES["conv_3"].build("float32")
    reference.build((None, None, 4))
    reference.convolution.kernel.assign(rounded)
    expected = reference(tf.constant(STATES), tf.constant(MASK))
    np.testing.assert_allclose(layer(STATES, tf.constant(MASK)), expected, rtol=1e-4, atol=1e-5)
    # Kernel; its scales, bias, and the norm's two vectors.
    assert layer.served_bytes == 3 * 4 * 4 + 4 * 4 * 4
    assert reference.served_bytes == 4 * (3 * 4 * 4 + 3 * 4)


def test_a_rounded_kernel_learns() -> None:
    layer = PRIMITIVES["conv_3"].build("int8")
    layer.build((None, None, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.convolution(STATES) * tf.constant([1.0, 2.0, -1.0, 0.5]))
    gradient = tape.gradient(loss, layer.convolution.kernel.value)
    # That of a kernel in floats: of the last tap, the sum of all states times the weight above.
    expected = np.outer(STATES.sum(axis=(0, 1)), [1.0, 2.0, -1.0, 0.5])
    np.testing.assert_allclose(gradient[-1], expected, rtol=1e-4, atol=1e-5)


def test_convolution_equals_the_causal_one_of_keras() -> None:
    keras.utils.set_random_seed(0)
    layer = PRIMITIVES["dilated_2_conv_3"].build("float32")
    layer.build((None, None, 4))
    reference = keras.layers.Conv1D(4, 3, padding="causal", dilation_rate=2)
    reference.build((None, 6, 4))
    reference.set_weights([layer.convolution.kernel, layer.convolution.bias])
    np.testing.assert_allclose(layer.convolution(STATES), reference(STATES), rtol=1e-4, atol=1e-5)
