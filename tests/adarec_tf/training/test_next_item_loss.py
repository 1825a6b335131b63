import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.sequence_model import SequenceEmbedding
from adarec_tf.training.next_item_loss import cross_entropy, labeled_positions, softmax_loss

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


def _smoothed_reference(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> float:
    """Each position's cross-entropy to (1 - s) label + s uniform, one by one."""
    losses = []
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        log_probability = row - np.log(np.sum(np.exp(row)))
        target = np.full(len(row), smoothing / len(row))
        target[label - 1] += 1 - smoothing
        losses.append(-np.sum(target * log_probability))
    return float(np.mean(losses))


def _loss_and_gradients(
    embedding: SequenceEmbedding, smoothing: float = 0.0, compute_dtype: str = "float32"
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    states = tf.constant(STATES)
    with tf.GradientTape() as tape:
        tape.watch(states)
        loss = softmax_loss(
            embedding,
            states,
            tf.constant(LABELS),
            smoothing=smoothing,
            compute_dtype=compute_dtype,
        )
    sources = [states, embedding.item_table.variable.value]
    return loss, [tf.convert_to_tensor(g) for g in tape.gradient(loss, sources)]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_that_of_a_loop_over_positions(
    embedding: SequenceEmbedding, smoothing: float
) -> None:
    loss, _ = _loss_and_gradients(embedding, smoothing)
    logits = embedding.item_logits(tf.constant(STATES)).numpy()
    assert float(loss) == pytest.approx(_smoothed_reference(logits, LABELS, smoothing), rel=1e-5)


def test_its_gradient_is_that_of_differentiated_logits(embedding: SequenceEmbedding) -> None:
    states = tf.constant(STATES)
    with tf.GradientTape() as tape:
        tape.watch(states)
        loss = cross_entropy(embedding.item_logits(states), tf.constant(LABELS))
    expected = tape.gradient(loss, [states, embedding.item_table.variable.value])
    for actual, gradient in zip(_loss_and_gradients(embedding)[1], expected, strict=True):
        np.testing.assert_allclose(actual, tf.convert_to_tensor(gradient), rtol=1e-5, atol=1e-7)


def test_its_gradient_with_smoothing_is_that_of_central_differences(
    embedding: SequenceEmbedding,
) -> None:
    _, (to_states, to_table) = _loss_and_gradients(embedding, smoothing=0.3)
    items = embedding.item_vectors().numpy().astype(np.float64)
    step = 1e-5
    for index in np.ndindex(STATES.shape):
        moved = [STATES.astype(np.float64) for _ in range(2)]
        moved[0][index] += step
        moved[1][index] -= step
        high, low = (_smoothed_reference(m @ items.T, LABELS, 0.3) for m in moved)
        assert to_states.numpy()[index] == pytest.approx((high - low) / (2 * step), abs=1e-5)
    for index in np.ndindex(items.shape):
        moved = [items.copy() for _ in range(2)]
        moved[0][index] += step
        moved[1][index] -= step
        high, low = (_smoothed_reference(STATES @ m.T, LABELS, 0.3) for m in moved)
        assert to_table.numpy()[index[0] + 1, index[1]] == pytest.approx(
            (high - low) / (2 * step), abs=1e-5
        )


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
