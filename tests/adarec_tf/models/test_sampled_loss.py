import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.losses import (
    NegativeSampler,
    frequency_weights,
    gbce_loss,
    sampled_softmax_loss,
    softmax_loss,
)
from adarec_tf.models.sequence_model import SequenceEmbedding

NUM_ITEMS = 30
HIDDEN_DIM = 4
STATES = np.random.default_rng(5).normal(size=(6, HIDDEN_DIM)).astype(np.float32)
LABELS = np.array([1, 11, 4, 4, 30, 1])
NEGATIVES = np.array([3, 0, 29, 12, 12])  # rows: item 4 is a label, 13 is drawn twice


@pytest.fixture
def embedding() -> SequenceEmbedding:
    keras.utils.set_random_seed(3)
    embedding = SequenceEmbedding(NUM_ITEMS, HIDDEN_DIM, 5)
    embedding(tf.zeros([1, 1], tf.int64))
    table = embedding.item_table.variable
    table.assign(3.0 * table)
    return embedding


def _skewed_sampler(num_negatives: int) -> NegativeSampler:
    weights = frequency_weights(np.arange(NUM_ITEMS, 0, -1) ** 2)
    return NegativeSampler.of(weights, num_negatives, seed=9)


def _sampled_softmax(
    embedding: SequenceEmbedding, sampler: NegativeSampler, step: int
) -> tf.Tensor:
    return sampled_softmax_loss(
        embedding,
        tf.constant(STATES),
        tf.constant(LABELS),
        sampler.draw(tf.constant(step, tf.int64)),
        sampler.probability,
    )


def test_sampled_softmax_is_that_of_a_loop_over_positions(embedding: SequenceEmbedding) -> None:
    probability = _skewed_sampler(5).probability
    actual = sampled_softmax_loss(
        embedding, tf.constant(STATES), tf.constant(LABELS), tf.constant(NEGATIVES), probability
    )
    items, share = embedding.item_vectors().numpy(), probability.numpy()
    losses = []
    for state, label in zip(STATES, LABELS, strict=True):
        kept = [row for row in NEGATIVES if row != label - 1]
        drawn = [state @ items[row] - np.log(5 * share[row]) for row in kept]
        logits = [state @ items[label - 1], *drawn]
        losses.append(np.log(np.sum(np.exp(logits))) - logits[0])
    assert float(actual) == pytest.approx(np.mean(losses), rel=1e-5)


def test_sampled_softmax_nears_the_full_one_however_skewed_the_draws(
    embedding: SequenceEmbedding,
) -> None:
    full = float(softmax_loss(embedding, tf.constant(STATES), tf.constant(LABELS)))
    few, many = (
        np.mean([_sampled_softmax(embedding, _skewed_sampler(size), step) for step in range(20)])
        for size in (10, 4000)
    )
    assert abs(many - full) < 0.02
    assert abs(few - full) > 0.05


def test_the_gradient_reaches_labels_and_negatives_alone(embedding: SequenceEmbedding) -> None:
    with tf.GradientTape() as tape:
        loss = gbce_loss(
            embedding, tf.constant(STATES), tf.constant(LABELS), tf.constant(NEGATIVES), 0.75
        )
    gradient = tf.convert_to_tensor(
        tape.gradient(loss, embedding.item_table.variable.value)
    ).numpy()
    touched = set(np.flatnonzero(np.any(gradient != 0, axis=1)))
    assert touched == {*LABELS, *(NEGATIVES + 1)}


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_is_that_of_a_loop_over_positions(
    embedding: SequenceEmbedding, calibration: float
) -> None:
    actual = gbce_loss(
        embedding, tf.constant(STATES), tf.constant(LABELS), tf.constant(NEGATIVES), calibration
    )
    items = embedding.item_vectors().numpy()
    rate = len(NEGATIVES) / (NUM_ITEMS - 1)
    power = {0.0: 1.0, 1.0: rate}.get(calibration, 1 - calibration + calibration * rate)
    losses = []
    for state, label in zip(STATES, LABELS, strict=True):
        probability = 1 / (1 + np.exp(-state @ items.T))
        kept = [row for row in NEGATIVES if row != label - 1]
        losses.append(
            -power * np.log(probability[label - 1]) - np.sum(np.log(1 - probability[kept]))
        )
    assert float(actual) == pytest.approx(np.mean(losses), rel=1e-5)


def test_draws_follow_the_frequencies() -> None:
    sampler = _skewed_sampler(50_000)
    drawn = sampler.draw(tf.constant(1, tf.int64)).numpy()
    shares = np.bincount(drawn, minlength=NUM_ITEMS) / len(drawn)
    np.testing.assert_allclose(shares, sampler.probability, atol=5e-3)
    assert shares[0] > 3 * shares[-1]


def test_draws_depend_on_seed_and_step_alone() -> None:
    def draw(seed: int, step: int) -> list[int]:
        sampler = NegativeSampler.of(np.ones(1000), 20, seed)
        return sampler.draw(tf.constant(step, tf.int64)).numpy().tolist()

    assert draw(1, 7) == draw(1, 7)
    assert draw(1, 7) != draw(1, 8)
    assert draw(1, 7) != draw(2, 7)
    assert min(draw(1, 7)) >= 0
    assert max(draw(1, 7)) < 1000
