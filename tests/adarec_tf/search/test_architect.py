from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config import StudentConfig
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.distillation_config import DistillationConfig
from adarec_tf.search.alphas import OPERATIONS, SampledEdges, fixed_edges, sample_edges
from adarec_tf.search.architect import (
    SearchBatch,
    SearchState,
    build_alpha_step,
    build_weight_step,
    search_loss,
)
from adarec_tf.search.supernet import Supernet
from adarec_tf.search_config import SearchConfig
from adarec_tf.teacher_config import NextItNetConfig
from adarec_tf.teachers import build_teacher
from tests.references.gradients import central_differences

NUM_ITEMS, LENGTH = 12, 5
STUDENT = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2, dropout=0.0)
SEARCH = SearchConfig(learning_rate=1e-2, alpha_learning_rate=1e-1, cost_weight=0.5)
NUM_EDGES = 3


@pytest.fixture(scope="module")
def state() -> SearchState:
    keras.utils.set_random_seed(3)
    teacher = build_teacher(NextItNetConfig(hidden_dim=6, num_blocks=2), NUM_ITEMS, LENGTH, seed=1)
    supernet = Supernet(STUDENT, NUM_ITEMS, LENGTH)
    supernet(tf.zeros([1, 1], tf.int64), fixed_edges([0] * NUM_EDGES))
    objective = DistillationObjective(
        supernet.sequence_embedding, STUDENT.num_cells, teacher, DistillationConfig()
    )
    alphas = keras.Variable(np.zeros((NUM_EDGES, len(OPERATIONS)), np.float32))
    weight_optimizer, alpha_optimizer = keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-1)
    result = SearchState(supernet, objective, alphas, weight_optimizer, alpha_optimizer)
    weight_optimizer.build(result.weights)
    alpha_optimizer.build([alphas])
    return result


def _batch(state: SearchState, seed: tuple[int, int] = (1, 2)) -> SearchBatch:
    items = np.random.default_rng(0).integers(1, NUM_ITEMS + 1, (6, LENGTH + 1))
    item_ids, labels = tf.constant(items[:, :-1]), tf.constant(items[:, 1:])
    teacher = state.objective.teacher_states(item_ids, labels)
    return SearchBatch(item_ids, labels, teacher, tf.constant(seed))


def _values(variables: Any) -> list[np.ndarray]:
    return [np.array(v) for v in variables]


def _prices() -> tf.Tensor:
    return tf.constant(np.linspace(0.0, 0.2, len(OPERATIONS)), tf.float32)


def test_weights_and_alphas_are_disjoint_and_cover_the_supernet(state: SearchState) -> None:
    weights = {id(v) for v in state.weights}
    assert id(state.alphas) not in weights
    assert {id(v) for v in state.supernet.trainable_variables} <= weights


def test_weight_step_leaves_the_alphas_bit_identical(state: SearchState) -> None:
    step = build_weight_step(state, SEARCH)
    alphas, weights = _values([state.alphas]), _values(state.weights)
    parts = step(_batch(state))
    np.testing.assert_array_equal(state.alphas, alphas[0])
    assert any(np.any(np.array(v) != w) for v, w in zip(state.weights, weights, strict=True))
    assert set(parts) == {"task", "embedding_kd", "hidden_kd", "logits_kd"}


def test_alpha_step_leaves_weights_and_masses_bit_identical(state: SearchState) -> None:
    step = build_alpha_step(state, SEARCH, _prices())
    kept = [*state.supernet.variables, *state.objective.variables]
    before, alphas = _values(kept), _values([state.alphas])
    step(_batch(state))
    for variable, old in zip(kept, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)
    assert np.any(np.array(state.alphas) != alphas[0])


def test_alpha_gradient_matches_central_differences(state: SearchState) -> None:
    """First order: the weights are constants, the relaxed choice of the drawn operations moves.

    The forward pass is hard (gates of 1), so what is differentiated is the loss with each gate at
    1 + p(alphas) - p(where we stand), the same noise throughout.
    """
    batch = _batch(state, (8, 9))
    at = np.random.default_rng(2).normal(0, 0.5, state.alphas.shape).astype(np.float32)
    variable = tf.Variable(at)
    with tf.GradientTape() as tape:
        sampled = sample_edges(variable, batch.seed, 1.0)
        total = search_loss(state, sampled, batch, training=False).total
    gradient = tape.gradient(total, variable).numpy()

    uniform = tf.random.stateless_uniform(at.shape, batch.seed, minval=1e-9, maxval=1.0).numpy()
    noise = -np.log(-np.log(uniform.astype(np.float64)))

    def shares(alphas: np.ndarray) -> np.ndarray:
        logits = alphas + noise
        relaxed = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return relaxed[np.arange(NUM_EDGES), sampled.operations.numpy()]

    def loss(alphas: np.ndarray) -> float:
        gates = tf.constant(1.0 + shares(alphas) - shares(at.astype(np.float64)), tf.float32)
        edges = SampledEdges(sampled.operations, gates)
        return float(search_loss(state, edges, batch, training=False).total)

    expected = central_differences(loss, at.astype(np.float64), 2e-2)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, atol=0.03 * np.abs(expected).max())


def test_cost_alone_moves_the_alphas_to_cheap_operations(state: SearchState) -> None:
    config = SearchConfig(**{**SEARCH.to_dict(), "cost_weight": 1e4})
    step = build_alpha_step(state, config, _prices())
    before = float(step(_batch(state, (0, 0)))["cost"])
    for number in range(20):
        after = float(step(_batch(state, (0, number)))["cost"])
    assert after < before
