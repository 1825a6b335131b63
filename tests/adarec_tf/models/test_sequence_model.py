import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.sequence_model import CausalConv1D, SequenceEmbedding


def _embedding(**changes: object) -> SequenceEmbedding:
    keras.utils.set_random_seed(0)
    embedding = SequenceEmbedding(9, 4, 6, **changes)
    embedding(tf.zeros([1, 1], tf.int64))
    return embedding


def test_a_prefix_is_embedded_as_in_the_longer_history() -> None:
    embedding = _embedding()
    long = embedding(tf.constant([[0, 3, 1, 4, 1]], tf.int64)).numpy()
    short = embedding(tf.constant([[3, 1]], tf.int64)).numpy()
    np.testing.assert_array_equal(long[0, 1:3], short[0])


def test_places_tell_equal_items_apart_if_asked() -> None:
    ids = tf.constant([[5, 5]], tf.int64)
    assert np.any(_embedding()(ids)[0, 0] != _embedding()(ids)[0, 1])
    without = _embedding(use_positions=False)(ids)
    np.testing.assert_array_equal(without[0, 0], without[0, 1])


def test_padding_is_never_scored() -> None:
    embedding = _embedding()
    states = tf.constant([[1.0, -1.0, 2.0, 0.5]])
    logits = embedding.item_logits(states).numpy()
    assert logits.shape == (1, 9)
    table = embedding.item_table.matrix().numpy()
    np.testing.assert_allclose(logits[0], table[1:] @ states[0].numpy(), rtol=1e-5)


@pytest.mark.parametrize(("kernel_size", "dilation_rate"), [(3, 1), (3, 4), (5, 2), (1, 1)])
def test_causal_convolution_equals_the_one_of_keras(kernel_size: int, dilation_rate: int) -> None:
    keras.utils.set_random_seed(1)
    ours = CausalConv1D(5, kernel_size, dilation_rate)
    theirs = keras.layers.Conv1D(5, kernel_size, padding="causal", dilation_rate=dilation_rate)
    states = tf.random.stateless_normal([2, 11, 3], [1, 2])
    ours.build(states.shape)
    theirs.build(states.shape)
    theirs.set_weights([ours.kernel, ours.bias])
    np.testing.assert_allclose(ours(states), theirs(states), rtol=1e-4, atol=1e-5)
