"""The search's costs: where they come from, and what the architecture believed in would cost."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.export.profile import count_costs, measure_latencies
from adarec_tf.models.sequence_model import SequenceModel
from adarec_tf.models.students.cost_table import Cost, CostTable, read_cost_table
from adarec_tf.search.space.alphas import OPERATIONS
from adarec_tf.search.space.depth import ExpectedStudent


def search_costs(
    teacher: SequenceModel,
    student: StudentConfig,
    search: SearchConfig,
    *,
    max_length: int,
    kept_path: str,
) -> CostTable:
    """The costs that a search goes by.

    Those of the file it was given; else they are counted, and measured where latency counts.

    Args:
      teacher: a built sequence model, the unit of the cost.
      student: the frame of the student.
      search: may name a file, and says whether latency counts.
      max_length: items of a history.
      kept_path: where a measured table is kept, so that an interrupted search goes on with it.

    Raises:
      ValueError: there is no such file, or its table was made for another search.
    """
    counted = count_costs(teacher, student, max_length)
    if search.cost_table:
        table = read_cost_table(search.cost_table)
        table.check_fits(counted)
        return table
    if not search.reads_latency:
        return counted
    kept = Path(kept_path)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        measure_latencies(counted, teacher).write(kept_path)
    return read_cost_table(kept_path)


class Prices(NamedTuple):
    """What the parts of a student cost, in units of the teacher's encoder.

    Attributes:
      operations: float32 [O], in the order of `OPERATIONS`.
      cell: of a cell without operations.
    """

    operations: np.ndarray
    cell: float = 0.0


def relative_costs(table: CostTable, *, num_cells: int, latency_share: float) -> Prices:
    """The prices of operations and cells.

    Args:
      table: of the search; 1 is as many parameters, multiply-adds and milliseconds as the teacher's
        encoder has.
      num_cells: cells that get the operation together.
      latency_share: weight of latency; parameters and multiply-adds share the rest equally.
    """
    teacher, counted = table.teacher_encoder, (1.0 - latency_share) / 2.0

    def price_of(cost: Cost) -> float:
        price = counted * cost.parameters / teacher.parameters + counted * cost.macs / teacher.macs
        if latency_share > 0:
            price += latency_share * cost.latency_ms / teacher.latency_ms
        return price

    prices = [price_of(table.operations[name]) for name in OPERATIONS]
    return Prices(np.asarray(prices, np.float32) * num_cells, price_of(table.cell))


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
