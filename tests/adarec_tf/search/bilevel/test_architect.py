"""The steps of the search."""

from typing import Any

import numpy as np
import pytest

from adarec_tf.search.bilevel import architect
from adarec_tf.search.bilevel.architect import build_alpha_step, build_weight_step
from adarec_tf.search.bilevel.state import SearchState, search_loss
from adarec_tf.search.cost.budget import Budget
from adarec_tf.search.cost.cost import Prices
from adarec_tf.search.space.alphas import OPERATIONS, fixed_architecture, sample_architecture
from tests.adarec_tf.search.small_search import small_batch, small_search
from tests.references.transport import updated_mass


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


@pytest.mark.slow
def test_weight_step_leaves_the_alphas_bit_identical(state: SearchState) -> None:
    step = build_weight_step(state)
    alphas, weights = _values([state.alphas]), _values(state.weights)
    parts = step(small_batch(state))
    np.testing.assert_array_equal(state.alphas, alphas[0])
    assert any(np.any(np.array(v) != w) for v, w in zip(state.weights, weights, strict=True))
    assert set(parts) == {"task", "embedding_kd", "hidden_kd", "logits_kd"}


def test_weight_step_leaves_the_masses_that_its_costs_ask_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(architect, "_compiled", lambda state, step: step)
    state = small_search(num_cells=2)
    objective, batch = state.objective, small_batch(state)
    masses = [(objective.student_mass, [0.8, 0.2], 1), (objective.teacher_mass, [0.3, 0.7], 0)]
    for mass, before, _ in masses:
        mass.assign(before)
    drawn = sample_architecture(state.architecture_logits(), batch.seed)
    costs = search_loss(state, drawn, batch, training=True).layer_costs.numpy()
    build_weight_step(state)(batch)
    for mass, before, axis in masses:
        expected = updated_mass(before, costs.sum(axis=axis).tolist())
        np.testing.assert_allclose(mass, expected, rtol=1e-4)
        assert np.all(np.abs(np.subtract(expected, before)) > 1e-3)


def test_alpha_step_leaves_weights_masses_and_slots_bit_identical(state: SearchState) -> None:
    step = build_alpha_step(state, _prices(), cost_weight=0.5)
    kept = [
        *state.supernet.variables,
        *state.objective.variables,
        *state.weight_optimizer.variables,
    ]
    before, alphas = _values(kept), _values([state.alphas])
    step(small_batch(state))
    for variable, old in zip(kept, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)
    assert np.any(np.array(state.alphas) != alphas[0])


@pytest.mark.slow
def test_compared_architectures_move_the_alphas_to_the_better_operation() -> None:
    """On the last edge, the others being decided; what is best is tried out one by one."""
    state = small_search()
    batch = small_batch(state)
    decided = np.zeros(state.alphas.shape, np.float32)
    decided[:-1, 0] = 20.0
    state.alphas.assign(decided)
    losses = [
        float(search_loss(state, fixed_architecture([0, 0, index]), batch, training=False).total)
        for index in range(len(OPERATIONS))
    ]
    step = build_alpha_step(state, _prices(), cost_weight=0.0)
    for number in range(60):
        step(small_batch(state, (1, number)))
    believed = int(np.argmax(state.alphas[-1]))
    assert losses[believed] in sorted(losses)[:2]


def test_cost_alone_moves_the_alphas_to_cheap_operations(state: SearchState) -> None:
    step = build_alpha_step(state, _prices(), cost_weight=1e4)
    before = float(step(small_batch(state, (0, 0)))["cost"])
    for number in range(20):
        after = float(step(small_batch(state, (0, number)))["cost"])
    assert after < before


def test_a_budget_alone_moves_the_alphas_until_it_is_kept() -> None:
    state = small_search()
    budget = Budget("max_macs", 40.0, 40, np.arange(len(OPERATIONS)) * 10, 1, 0.0, 1.0, 1, 0)
    # A hundred times, so that the losses of the architectures count for nothing beside it.
    step = build_alpha_step(state, _prices(), [budget] * 100, cost_weight=0.0)
    batch = small_batch(state)
    overruns = [float(step(batch)["overrun"]) / 100 for _ in range(40)]
    # 3 edges of 45 on average; what is over 40, as a share of them.
    assert overruns[0] == pytest.approx((135 - 40) / 135, rel=1e-5)
    assert overruns[-1] < 0.01
