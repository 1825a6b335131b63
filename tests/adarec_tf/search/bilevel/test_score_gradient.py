"""The alphas' gradient from compared architectures, against the expected loss written out."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.search.bilevel.score_gradient import compared_loss
from adarec_tf.search.space.alphas import ArchitectureLogits, SampledArchitecture
from adarec_tf.search.space.depth import active_rows
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
        operations = tf.constant([ARCHITECTURES[index] for index in drawn])
        loss = compared_loss(
            ArchitectureLogits(logits),
            SampledArchitecture(operations, tf.zeros(len(drawn), tf.int32)),
            tf.ones_like(operations, tf.float32),
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


# Two cells of an edge each, of which the upper may be left out: its operation then says nothing.
DEPTH_LOGITS = np.array([0.4, -0.3])
DEPTH_LOSSES = {
    (operations, absent): LOSSES[operations[0] if absent else ARCHITECTURES.index(operations)]
    for operations in ARCHITECTURES
    for absent in (0, 1)
}


def _expected_loss_of_depths(logits: np.ndarray) -> float:
    depths = np.exp(logits[6:]) / np.exp(logits[6:]).sum()
    probabilities = _probabilities(logits[:6].reshape(2, 3))
    return float(
        sum(
            depths[absent] * probability * DEPTH_LOSSES[operations, absent]
            for operations, probability in zip(ARCHITECTURES, probabilities, strict=True)
            for absent in (0, 1)
        )
    )


def test_over_all_draws_of_depths_and_operations_as_well() -> None:
    flat = np.concatenate([LOGITS.ravel(), DEPTH_LOGITS])
    depths = np.exp(DEPTH_LOGITS) / np.exp(DEPTH_LOGITS).sum()
    probabilities = dict(zip(ARCHITECTURES, _probabilities(LOGITS), strict=True))
    pairs = list(itertools.product(DEPTH_LOSSES, repeat=2))
    shares = [
        np.prod([probabilities[operations] * depths[absent] for operations, absent in pair])
        for pair in pairs
    ]
    variables = [tf.constant(LOGITS, tf.float32), tf.constant(DEPTH_LOGITS, tf.float32)]

    @tf.function
    def estimate(
        operations: tf.Tensor, num_absent: tf.Tensor, losses: tf.Tensor
    ) -> list[tf.Tensor]:
        is_there = active_rows(num_absent, num_rows=2, num_cells=2, num_cell_edges=1)
        with tf.GradientTape() as tape:
            tape.watch(variables)
            drawn = SampledArchitecture(operations, num_absent)
            loss = compared_loss(ArchitectureLogits(*variables), drawn, is_there, losses)
        return tape.gradient(loss, variables)

    gradient = np.zeros(8)
    for pair, share in zip(pairs, shares, strict=True):
        operations, num_absent = (tf.constant(part) for part in zip(*pair, strict=True))
        losses = tf.constant([DEPTH_LOSSES[drawn] for drawn in pair], tf.float32)
        parts = estimate(operations, num_absent, losses)
        gradient += share * np.concatenate([part.numpy().ravel() for part in parts])
    expected = central_differences(_expected_loss_of_depths, flat, 1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)
