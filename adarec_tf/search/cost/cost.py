"""The expected cost of an architecture that is drawn, from a table of measured costs."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.models.students.cost_table import Cost, CostTable
from adarec_tf.search.space.alphas import OPERATIONS
from adarec_tf.search.space.depth import ExpectedStudent


class Prices(NamedTuple):
    """What the parts of a student cost, in units of the teacher's encoder.

    Attributes:
      operations: float32 [O], in the order of `OPERATIONS`.
      cell: of a cell without operations.
    """

    operations: np.ndarray
    cell: float = 0.0


def relative_costs(table: CostTable, *, num_alike: int) -> Prices:
    """The prices of operations and cells.

    Args:
      table: of the search; 1 is as many parameters and as many multiply-adds as the teacher's
        encoder has. Both count equally.
      num_alike: cells that get the operation together.
    """
    teacher = table.teacher_encoder

    def price_of(cost: Cost) -> float:
        return 0.5 * cost.parameters / teacher.parameters + 0.5 * cost.macs / teacher.macs

    prices = [price_of(table.operations[name]) for name in OPERATIONS]
    return Prices(np.asarray(prices, np.float32) * num_alike, price_of(table.cell))


def expected_cost(expected: ExpectedStudent, prices: Prices) -> tf.Tensor:
    """Expected price of a sampled architecture, differentiable in the logits.

    Args:
      expected: what it has on average.
      prices: of that.

    Returns:
      Scalar float32, in units of the teacher's encoder: what it costs beside a student of all cells
      without operations; less than 0 where cells are left out that cost more.

    Reference:
      Chen et al., arXiv:2107.07173v2, section 3.2, with measured prices in place of constants.
    """
    return tf.reduce_sum(expected.shares * prices.operations) - prices.cell * expected.num_absent
