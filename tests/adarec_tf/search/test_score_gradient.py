"""The alphas' gradient from compared architectures, against the expected loss written out."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.search.score_gradient import compared_loss
from tests.references.gradients import central_differences

NUM_EDGES, NUM_OPERATIONS = 2, 3
ARCHITECTURES = list(itertools.product(range(NUM_OPERATIONS), repeat=NUM_EDGES))
# An interaction of the edges, so that no sum over edges could stand for it.
LOSSES = np.random.default_rng(1).normal(5.0, 1.0, len(ARCHITECTURES))
LOGITS = np.array([[0.3, -0.5, 0.1], [-1.0, 0.2, 0.7]])


def _probabilities(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.array([np.prod([shares[e, o] for e, o in enumerate(a)]) for a in ARCHITECTURES])


def _expected_loss(logits: np.ndarray) -> float:
    return float(_probabilities(logits) @ LOSSES)


def _estimate(drawn: tuple[int, ...]) -> tuple[float, np.ndarray]:
    """Value and gradient for given draws."""
    logits = tf.constant(LOGITS, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = compared_loss(
            logits,
            tf.constant([ARCHITECTURES[index] for index in drawn]),
            tf.constant(LOSSES[list(drawn)], tf.float32),
        )
    return float(loss), tape.gradient(loss, logits).numpy()


@pytest.mark.parametrize("num_compared", [2, 3])
def test_over_all_draws_it_is_the_gradient_of_the_expected_loss(num_compared: int) -> None:
    probabilities = _probabilities(LOGITS)
    value, gradient = 0.0, np.zeros_like(LOGITS)
    for drawn in itertools.product(range(len(ARCHITECTURES)), repeat=num_compared):
        share = float(np.prod(probabilities[list(drawn)]))
        loss, estimate = _estimate(drawn)
        value += share * loss
        gradient += share * estimate
    assert value == pytest.approx(_expected_loss(LOGITS), rel=1e-5)
    expected = central_differences(_expected_loss, LOGITS, 1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


def test_equal_architectures_tell_nothing() -> None:
    loss, gradient = _estimate((4, 4, 4))
    assert loss == pytest.approx(LOSSES[4], rel=1e-5)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)
