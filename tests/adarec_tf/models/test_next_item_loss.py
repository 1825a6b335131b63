import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.losses import labeled_positions, softmax_loss
from adarec_tf.models.sequence_model import SequenceEmbedding

NUM_ITEMS = 11
HIDDEN_DIM = 4


@pytest.fixture
def embedding() -> SequenceEmbedding:
    keras.utils.set_random_seed(3)
    embedding = SequenceEmbedding(NUM_ITEMS, HIDDEN_DIM, 5)
    embedding(tf.zeros([1, 1], tf.int64))
    return embedding


STATES = np.random.default_rng(5).normal(size=(6, HIDDEN_DIM)).astype(np.float32)
LABELS = np.array([1, 11, 4, 4, 7, 1])


def _loss_and_gradients(
    embedding: SequenceEmbedding, compute_dtype: str = "float32"
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    states = tf.constant(STATES)
    with tf.GradientTape() as tape:
        tape.watch(states)
        loss = softmax_loss(
            embedding,
            states,
            tf.constant(LABELS),
            compute_dtype=compute_dtype,
        )
    sources = [states, embedding.item_table.variable.value]
    return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, sources)]


def test_the_loss_is_that_of_a_loop_over_positions(embedding: SequenceEmbedding) -> None:
    loss, _ = _loss_and_gradients(embedding)
    logits = embedding.item_logits(tf.constant(STATES)).numpy().astype(np.float64)
    expected = [
        np.log(np.sum(np.exp(row))) - row[label - 1]
        for row, label in zip(logits, LABELS, strict=True)
    ]
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


def test_its_gradient_is_that_of_differentiated_logits(embedding: SequenceEmbedding) -> None:
    states = tf.constant(STATES)
    with tf.GradientTape() as tape:
        tape.watch(states)
        logits = embedding.item_logits(states)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS - 1, logits))
    expected = tape.gradient(loss, [states, embedding.item_table.variable.value])
    for actual, gradient in zip(_loss_and_gradients(embedding)[1], expected, strict=True):
        np.testing.assert_allclose(actual, tf.convert_to_tensor(gradient), rtol=1e-5, atol=1e-7)


def test_half_precision_changes_little(embedding: SequenceEmbedding) -> None:
    loss, gradients = _loss_and_gradients(embedding)
    low_loss, low_gradients = _loss_and_gradients(embedding, compute_dtype="bfloat16")
    assert low_loss.dtype == tf.float32
    assert float(low_loss) == pytest.approx(float(loss), rel=1e-2)
    for low, gradient in zip(low_gradients, gradients, strict=True):
        assert low.dtype == tf.float32
        np.testing.assert_allclose(low, gradient, atol=2e-2 * np.abs(gradient).max())


def test_padding_gets_no_gradient(embedding: SequenceEmbedding) -> None:
    _, (_, to_table) = _loss_and_gradients(embedding)
    np.testing.assert_array_equal(to_table[0], 0.0)


def test_an_impossible_label_has_a_finite_loss_and_gradient(embedding: SequenceEmbedding) -> None:
    states = tf.constant(STATES * 1e4)
    with tf.GradientTape() as tape:
        tape.watch(states)
        loss = softmax_loss(embedding, states, tf.constant(LABELS))
    assert 0 < float(loss) < 86
    assert np.all(np.isfinite(tape.gradient(loss, states)))


def test_positions_without_a_label_are_left_out() -> None:
    positions = labeled_positions(tf.constant([[0, 0, 5], [0, 2, 3]], tf.int64))
    np.testing.assert_array_equal(positions.indices, [[0, 2], [1, 1], [1, 2]])
    np.testing.assert_array_equal(positions.labels, [5, 2, 3])
