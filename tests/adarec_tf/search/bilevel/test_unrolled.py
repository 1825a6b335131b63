import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.search.bilevel.state import SearchBatch, SearchState, search_loss
from adarec_tf.search.bilevel.unrolled import unrolled_loss
from adarec_tf.search.space.alphas import Logits, SampledEdges, fixed_edges, sample_edges
from tests.adarec_tf.search.small_search import (
    NUM_EDGES,
    relaxed_gates,
    small_batch,
    small_search,
)
from tests.references.gradients import central_differences

RATE = 0.5  # so high that the step of the weights tells


@pytest.fixture(scope="module")
def state() -> SearchState:
    return small_search(RATE)


@pytest.fixture(scope="module")
def batches(state: SearchState) -> tuple[SearchBatch, SearchBatch]:
    return small_batch(state, (8, 9)), small_batch(state, (3, 4))


def _loss_after_a_step(
    state: SearchState, sampled: SampledEdges, batches: tuple[SearchBatch, SearchBatch]
) -> float:
    """The unrolled loss with a step that is really taken, and taken back."""
    before = [np.array(v) for v in state.weights]
    with tf.GradientTape() as tape:
        total = search_loss(state, sampled, batches[1], training=False).total
    keras.optimizers.SGD(RATE).apply(
        [
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(
                total,
                [v.value for v in state.weights],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
        ],
        state.weights,
    )
    result = float(search_loss(state, sampled, batches[0], training=False).total)
    for variable, old in zip(state.weights, before, strict=True):
        variable.assign(old)
    return result


def test_the_loss_is_that_after_one_step_of_the_weights(
    state: SearchState, batches: tuple[SearchBatch, SearchBatch]
) -> None:
    sampled = fixed_edges([0, 8, 3])
    before = [np.array(v) for v in state.weights]
    unrolled = float(unrolled_loss(state, sampled, *batches).total)
    for variable, old in zip(state.weights, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)
    assert unrolled == pytest.approx(_loss_after_a_step(state, sampled, batches), rel=1e-5)
    here = float(search_loss(state, sampled, batches[0], training=False).total)
    assert abs(unrolled - here) > 1e-2


def test_second_order_gradient_matches_central_differences(
    state: SearchState, batches: tuple[SearchBatch, SearchBatch]
) -> None:
    at = np.random.default_rng(2).normal(0, 0.5, state.alphas.shape).astype(np.float32)
    variable = tf.Variable(at)
    sampled = sample_edges(Logits(variable), batches[0].seed, 1.0)

    @tf.function
    def gradients() -> list[tf.Tensor]:
        """Of the second and of the first order."""
        with tf.GradientTape(persistent=True) as tape:
            edges = sample_edges(Logits(tf.convert_to_tensor(variable)), batches[0].seed, 1.0)
            second = unrolled_loss(state, edges, *batches).total
            first = search_loss(state, edges, batches[0], training=False).total
        return [tape.gradient(total, variable) for total in (second, first)]

    @tf.function(input_signature=[tf.TensorSpec([NUM_EDGES])])
    def loss_of(gates: tf.Tensor) -> tf.Tensor:
        return unrolled_loss(state, SampledEdges(sampled.operations, gates), *batches).total

    gates = relaxed_gates(at, batches[0], sampled.operations)
    expected = central_differences(
        lambda alphas: float(loss_of(gates(alphas))), at.astype(np.float64), 2e-2
    )
    second, first = (gradient.numpy() for gradient in gradients())
    tolerance = 0.03 * np.abs(expected).max()
    np.testing.assert_allclose(second, expected, atol=tolerance)
    assert np.abs(first - expected).max() > 3 * tolerance
