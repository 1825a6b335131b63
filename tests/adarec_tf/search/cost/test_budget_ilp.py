import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.config.search import SearchConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.cost.budget import Budget, find_budgets
from adarec_tf.search.cost.budget_ilp import likeliest_within
from adarec_tf.search.space.alphas import OPERATIONS, genotype_of
from tests.adarec_tf.search.hand_made_costs import cost_table

NUM_NODES = 2


def _genotype(operations: Sequence[int]) -> Genotype:
    return Genotype.from_primitives(NUM_NODES, [[OPERATIONS[index] for index in operations]])


ARCHITECTURES = [
    operations
    for operations in itertools.product(range(len(OPERATIONS)), repeat=3)
    if not _genotype(operations).is_degenerate
    and _genotype(operations).without_dead_edges() == _genotype(operations)
]


def _best_of_all(scores: np.ndarray, budgets: Sequence[Budget]) -> float:
    """One architecture after the other."""
    return max(
        sum(float(scores[edge, index]) for edge, index in enumerate(operations))
        for operations in ARCHITECTURES
        if all(
            sum(2 * int(b.prices[index]) for index in operations) <= b.allowance for b in budgets
        )
    )


def _budgets(num_alike: int = 2, **given: float) -> tuple[Budget, ...]:
    return find_budgets(SearchConfig(**given), cost_table(), num_alike=num_alike)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    macs=st.integers(1, 2500),
    latency_ms=st.floats(1.2, 3.0),
    max_bytes=st.integers(400, 1500),
)
def test_no_architecture_within_the_budgets_is_likelier(
    seed: int, macs: int, latency_ms: float, max_bytes: int
) -> None:
    scores = np.random.default_rng(seed).normal(size=(3, len(OPERATIONS)))
    budgets = _budgets(max_macs=macs, latency_budget_ms=latency_ms, max_bytes=max_bytes)
    operations = likeliest_within(scores, budgets, num_nodes=NUM_NODES)
    assert tuple(operations) in ARCHITECTURES
    genotype = genotype_of(operations, num_nodes=NUM_NODES, num_cells=2)
    assert all(budget.is_kept_by(genotype) for budget in budgets)
    found = scores[np.arange(3), operations].sum()
    assert found == pytest.approx(_best_of_all(scores, budgets))


def test_cells_of_their_own_share_the_budgets() -> None:
    scores = np.zeros((6, len(OPERATIONS)))
    conv_3, skip = map(OPERATIONS.index, ("conv_3", "skip"))
    scores[:, skip] = 1.0
    scores[0, conv_3], scores[3, conv_3] = 5.0, 6.0
    both = likeliest_within(scores, _budgets(1, max_macs=600), num_nodes=NUM_NODES)
    assert both.tolist() == [conv_3, skip, skip, conv_3, skip, skip]
    one = likeliest_within(scores, _budgets(1, max_macs=599), num_nodes=NUM_NODES)
    assert one.tolist() == [skip, skip, skip, conv_3, skip, skip]


def test_the_cheapest_student_is_found_where_nothing_else_is_left() -> None:
    scores = np.zeros((3, len(OPERATIONS)))
    scores[:, OPERATIONS.index("conv_5")] = 9.0
    operations = likeliest_within(scores, _budgets(latency_budget_ms=1.2), num_nodes=NUM_NODES)
    names = sorted(OPERATIONS[index] for index in operations)
    assert names[1:] == ["none", "none"]
    assert names[0] in ("average_pool_3", "max_pool_3")


def test_budgets_that_nobody_can_keep_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"`check_reachable` passes. Received: max_bytes=300"):
        likeliest_within(
            np.zeros((3, len(OPERATIONS))), _budgets(max_bytes=300), num_nodes=NUM_NODES
        )
