"""Upper bounds that the student must keep: what they leave for its operations, and who keeps them.

Amounts are whole numbers of a quantum (one parameter, a tenth of a microsecond), so that whether a
student is within a budget is decided exactly.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.config.search import SearchConfig
from adarec_tf.models.students.cost_table import CostTable
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import NONE, SKIP
from adarec_tf.search.space.alphas import OPERATIONS, operations_of
from adarec_tf.search.space.depth import ExpectedStudent

# Operations that look at one position; a student of these alone is blind to order.
BLIND_OPERATIONS = (NONE, SKIP)
# The setting that bounds each quantity of `Cost`.
_SETTINGS = {
    "latency_ms": "latency_budget_ms",
    "macs": "max_macs",
    "parameters": "max_parameters",
    "served_bytes": "max_bytes",
}
_QUANTA = {"latency_ms": 1e-4}
# Part of a quantum: less than this is rounding.
_TOLERANCE = 1e-6


class Budget(NamedTuple):
    """One bound on a student.

    Attributes:
      setting: its name in `SearchConfig`.
      value: what the setting was given.
      allowance: quanta left for the operations of all cells; negative if the rest is too much.
      prices: int64 [O], quanta of each operation on one edge of one cell.
      num_alike: cells that get an operation together.
      rest: quanta of a student without operations.
      quantum: how much of the setting's unit one is.
      num_cells: cells of the student that allowance and rest are of.
      cell_price: quanta of a cell without operations, not negative.
    """

    setting: str
    value: float
    allowance: int
    prices: np.ndarray
    num_alike: int
    rest: float
    quantum: float
    num_cells: int
    cell_price: int

    @property
    def row_prices(self) -> np.ndarray:
        """int64 [O], quanta of each operation in a row of the alphas."""
        return self.num_alike * self.prices

    def price_of(self, genotype: Genotype) -> int:
        """Quanta of the operations, less those of cells left out; without dead edges."""
        num_absent = self.num_cells - len(genotype.cells)
        return int(self.prices[operations_of(genotype)].sum()) - num_absent * self.cell_price

    def is_kept_by(self, genotype: Genotype) -> bool:
        """Whether a student is within it; the genotype should be without dead edges."""
        return self.price_of(genotype) <= self.allowance

    def without_cells(self, num_absent: int) -> "Budget":
        """The same bound, for students that have so many cells fewer."""
        saved, num_left = num_absent * self.cell_price, self.num_cells - num_absent
        return self._replace(
            allowance=self.allowance + saved,
            rest=self.rest - saved,
            num_alike=min(self.num_alike, num_left),
            num_cells=num_left,
        )

    def setting_for(self, price: int) -> float:
        """The value of the setting that leaves this many quanta for the operations."""
        return (self.rest + price) * self.quantum


class UnreachableBudgetError(ValueError):
    """No student of the search keeps the budgets.

    Args:
      message: what the user reads.
      overrun: the least reachable value as a multiple of the one that was given; an attribute too.
    """

    def __init__(self, message: str, *, overrun: float) -> None:
        super().__init__(message)
        self.overrun = overrun


def find_budgets(search: SearchConfig, table: CostTable, *, num_alike: int) -> tuple[Budget, ...]:
    """The budgets that a search was given.

    Args:
      search: the settings; 0 is no budget.
      table: costs of the search, with latencies if one of the budgets is of latency.
      num_alike: cells that get an operation together.

    Returns:
      One for each setting that is not 0.
    """
    return tuple(
        budget_of(quantity, value, table, num_alike=num_alike)
        for quantity, setting in _SETTINGS.items()
        if (value := getattr(search, setting)) != 0
    )


def budget_of(quantity: str, value: float, table: CostTable, *, num_alike: int) -> Budget:
    """The budget that allows so much of a quantity.

    Args:
      quantity: a field of `Cost`.
      value: what is allowed, in the unit of its setting.
      table: costs of the search.
      num_alike: cells that get an operation together.
    """
    quantum = _QUANTA.get(quantity, 1.0)
    prices = [getattr(table.operations[name], quantity) for name in OPERATIONS]
    rest = getattr(table.rest, quantity) / quantum
    return Budget(
        setting=_SETTINGS[quantity],
        value=value,
        allowance=math.floor(value / quantum - rest + _TOLERANCE),
        prices=np.ceil(np.array(prices) / quantum - _TOLERANCE).astype(int),
        num_alike=num_alike,
        rest=rest,
        quantum=quantum,
        num_cells=table.shape.num_cells,
        cell_price=math.ceil(getattr(table.cell, quantity) / quantum - _TOLERANCE),
    )


def check_reachable(budgets: Sequence[Budget]) -> None:
    """Checks that some student is within all budgets and not blind to order.

    The cheapest such student has one operation that looks at more than one position.

    Raises:
      UnreachableBudgetError: there is none; the message names the least value that has one.
    """
    seeing = [index for index, name in enumerate(OPERATIONS) if name not in BLIND_OPERATIONS]
    kept: list[str] = []
    for budget in budgets:
        prices = budget.row_prices
        cheapest = min(int(prices[index]) for index in seeing)
        if cheapest > budget.allowance:
            within = f" within {', '.join(kept)}" if kept else ""
            least = budget.setting_for(cheapest)
            raise UnreachableBudgetError(
                f"`search.{budget.setting}` should be at least {_rounded_up(least)}, what the "
                f"cheapest student needs{within}. Received: {budget.value:g}; raise it (in "
                "Python, `budget`), or make students smaller: student.hidden_dim, num_cells or "
                "precision.",
                overrun=least / budget.value,
            )
        seeing = [index for index in seeing if prices[index] <= budget.allowance]
        kept.append(f"{budget.setting}={budget.value:g}")


def is_reachable(budgets: Sequence[Budget]) -> bool:
    """Whether `check_reachable` passes."""
    try:
        check_reachable(budgets)
    except UnreachableBudgetError:
        return False
    return True


def expected_overrun(expected: ExpectedStudent, budgets: Sequence[Budget]) -> tf.Tensor:
    """By how much a sampled architecture is expected to overrun its budgets: a hinge at each.

    The unit is what the operations of an undecided architecture cost, all being equally likely: so
    a large fixed part, such as the item table's bytes, does not flatten the slope.

    Args:
      expected: what the architecture has on average.
      budgets: of the search.

    Returns:
      Scalar float32, 0 within all budgets; differentiable in what is expected.
    """
    overrun = tf.zeros([])
    for budget in budgets:
        prices = budget.row_prices
        undecided = float(prices.mean()) * expected.shares.shape[0]
        if undecided > 0:
            amount = tf.reduce_sum(expected.shares * tf.constant(prices / undecided, tf.float32))
            amount -= expected.num_absent * (budget.cell_price / undecided)
            overrun += tf.nn.relu(amount - budget.allowance / undecided)
    return overrun


def _rounded_up(value: float, digits: int = 4) -> str:
    """The value to four significant digits, or as a whole number, and not less than it."""
    if float(value).is_integer():
        return str(int(value))
    step = 10.0 ** (math.floor(math.log10(value)) + 1 - digits)
    return f"{math.ceil(value / step - _TOLERANCE) * step:.{digits}g}"
