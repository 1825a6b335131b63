"""The steps of the search."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.search import SearchConfig
from adarec_tf.search.bilevel.architect import build_alpha_step, build_weight_step
from adarec_tf.search.bilevel.state import SearchState, search_loss
from adarec_tf.search.cost.budget import Budget
from adarec_tf.search.cost.cost import Prices
from adarec_tf.search.space.alphas import (
    OPERATIONS,
    Logits,
    SampledEdges,
    fixed_edges,
    sample_edges,
)
from tests.adarec_tf.search.small_search import relaxed_gates, small_batch, small_search
from tests.references.gradients import central_differences

SEARCH = SearchConfig(learning_rate=1e-2, alpha_learning_rate=1e-1, cost_weight=0.5)


@pytest.fixture(scope="module")
def state() -> SearchState:
    return small_search()


def _values(variables: Any) -> list[np.ndarray]:
    return [np.array(v) for v in variables]


def _prices() -> Prices:
    return Prices(np.linspace(0.0, 0.2, len(OPERATIONS)).astype(np.float32))


def test_weights_and_alphas_are_disjoint_and_cover_the_supernet(state: SearchState) -> None:
    weights = {id(v) for v in state.weights}
    assert id(state.alphas) not in weights
    assert {id(v) for v in state.supernet.trainable_variables} <= weights


def test_weight_step_leaves_the_alphas_bit_identical(state: SearchState) -> None:
    step = build_weight_step(state, SEARCH)
    alphas, weights = _values([state.alphas]), _values(state.weights)
    parts = step(small_batch(state))
    np.testing.assert_array_equal(state.alphas, alphas[0])
    assert any(np.any(np.array(v) != w) for v, w in zip(state.weights, weights, strict=True))
    assert set(parts) == {"task", "embedding_kd", "hidden_kd", "logits_kd"}


@pytest.mark.parametrize(("alpha_gradient", "order"), [("score", 1), ("gate", 1), ("gate", 2)])
def test_alpha_step_leaves_weights_masses_and_slots_bit_identical(
    alpha_gradient: str, order: int, state: SearchState
) -> None:
    config = SEARCH.replace(alpha_gradient=alpha_gradient, order=order)
    step = build_alpha_step(state, config, _prices())
    kept = [
        *state.supernet.variables,
        *state.objective.variables,
        *state.weight_optimizer.variables,
    ]
    before, alphas = _values(kept), _values([state.alphas])
    step(small_batch(state), small_batch(state))
    for variable, old in zip(kept, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)
    assert np.any(np.array(state.alphas) != alphas[0])


def test_alpha_gradient_matches_central_differences(state: SearchState) -> None:
    """First order: the weights are constants."""
    batch = small_batch(state, (8, 9))
    at = np.random.default_rng(2).normal(0, 0.5, state.alphas.shape).astype(np.float32)
    variable = tf.Variable(at)
    with tf.GradientTape() as tape:
        sampled = sample_edges(Logits(variable), batch.seed, 1.0)
        total = search_loss(state, sampled, batch, training=False).total
    gradient = tape.gradient(total, variable).numpy()
    gates = relaxed_gates(at, batch, sampled.operations)

    def loss(alphas: np.ndarray) -> float:
        edges = SampledEdges(sampled.operations, gates(alphas))
        return float(search_loss(state, edges, batch, training=False).total)

    expected = central_differences(loss, at.astype(np.float64), 2e-2)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, atol=0.03 * np.abs(expected).max())


def test_compared_architectures_move_the_alphas_to_the_better_operation() -> None:
    """On the last edge, the others being decided; what is best is tried out one by one."""
    state = small_search()
    batch = small_batch(state)
    decided = np.zeros(state.alphas.shape, np.float32)
    decided[:-1, 0] = 20.0
    state.alphas.assign(decided)
    losses = [
        float(search_loss(state, fixed_edges([0, 0, index]), batch, training=False).total)
        for index in range(len(OPERATIONS))
    ]
    config = SEARCH.replace(cost_weight=0.0)
    step = build_alpha_step(state, config, _prices())
    for number in range(60):
        step(small_batch(state, (1, number)), batch)
    believed = int(np.argmax(state.alphas[-1]))
    assert losses[believed] in sorted(losses)[:2]


def test_cost_alone_moves_the_alphas_to_cheap_operations(state: SearchState) -> None:
    config = SearchConfig(**{**SEARCH.to_dict(), "cost_weight": 1e4})
    step = build_alpha_step(state, config, _prices())
    before = float(step(small_batch(state, (0, 0)), small_batch(state))["cost"])
    for number in range(20):
        after = float(step(small_batch(state, (0, number)), small_batch(state))["cost"])
    assert after < before


def test_a_budget_alone_moves_the_alphas_until_it_is_kept(state: SearchState) -> None:
    config = SEARCH.replace(cost_weight=0.0, budget_weight=1e4)
    budget = Budget("max_macs", 40.0, 40, np.arange(len(OPERATIONS)) * 10, 1, 0.0, 1.0, 1, 0)
    step = build_alpha_step(state, config, _prices(), [budget])
    state.alphas.assign(np.zeros(state.alphas.shape))
    batch = small_batch(state)
    overruns = [float(step(batch, batch)["overrun"]) for _ in range(40)]
    # 3 edges of 45 on average; what is over 40, as a share of them.
    assert overruns[0] == pytest.approx((135 - 40) / 135, rel=1e-5)
    assert overruns[-1] < 0.01
