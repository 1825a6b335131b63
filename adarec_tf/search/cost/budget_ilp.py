"""The likeliest architecture within budgets: an exact integer programme."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from adarec_tf.models.students.genotype import edge_ends
from adarec_tf.models.students.primitives import NONE
from adarec_tf.search.cost.budget import BLIND_OPERATIONS, Budget
from adarec_tf.search.space.alphas import OPERATIONS


def likeliest_within(
    scores: np.ndarray, budgets: Sequence[Budget], *, num_nodes: int
) -> np.ndarray:
    """Chooses the operations with the largest sum of scores that keep all budgets.

    Beside the budgets, no edge starts at a node that nothing flows into, and at least one operation
    looks at more than one position.

    Args:
      scores: float [E, O], log-probabilities but for a constant an edge. Rows are the edges of one
        cell, which all cells share, or those of every cell, one cell after the other.
      budgets: such that `check_reachable` passes.
      num_nodes: intermediate nodes of a cell.

    Returns:
      int64 [E], operation indices.
    """
    num_edges, num_operations = scores.shape
    one_each = np.kron(np.eye(num_edges), np.ones(num_operations))
    is_seeing = [float(name not in BLIND_OPERATIONS) for name in OPERATIONS]
    constraints = [
        LinearConstraint(one_each, lb=1, ub=1),
        LinearConstraint(np.tile(is_seeing, num_edges), lb=1),
        LinearConstraint(_dead_edges(num_edges, num_nodes), ub=0),
        *(_kept(budget, num_edges) for budget in budgets),
    ]
    solution = milp(
        -scores.ravel(),
        integrality=np.ones(scores.size),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0.0},
    )
    if not solution.success:
        raise ValueError(
            "The budgets should be such that `check_reachable` passes. Received: "
            f"{', '.join(f'{budget.setting}={budget.value:g}' for budget in budgets)} "
            f"({solution.message})."
        )
    return solution.x.reshape(scores.shape).argmax(axis=-1)


def _kept(budget: Budget, num_edges: int) -> LinearConstraint:
    """Prices and allowance without their common divisor, and half a unit of room.

    Both sides are whole, so the room changes nothing but that the solver's tolerance is far away.
    """
    prices = budget.row_prices
    divisor = max(1, int(np.gcd.reduce(prices)))
    room = budget.allowance // divisor + 0.5
    return LinearConstraint(np.tile(prices / divisor, num_edges), ub=room)


def _dead_edges(num_edges: int, num_nodes: int) -> np.ndarray:
    """Rows [R, E O], one for an edge whose source is a node: live minus what flows into it."""
    ends = edge_ends(num_nodes)
    is_live = np.array([float(name != NONE) for name in OPERATIONS])
    rows = []
    for place, (source, _) in enumerate(ends):
        if source > 0:
            row = np.array([-float(target == source) for _, target in ends])
            row[place] = 1.0
            rows.append(np.kron(row, is_live))
    return np.kron(np.eye(num_edges // len(ends)), np.array(rows))
