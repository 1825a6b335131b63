"""The frames that a search goes through, one a width: what students cost there, and may cost.

Each width has a supernet of its own. A narrow one as a slice of a wide one would be trained once
for all widths, but is not what a student of that width has: a table in codes or of low rank, and
one that begins as the best approximation of the teacher's, are of one width, and a norm over fewer
channels is another norm.
"""

import dataclasses
import logging
import os
from typing import NamedTuple

import keras

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.models.students.cost_table import CostTable
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.cost.budget import (
    Budget,
    UnreachableBudgetError,
    check_reachable,
    find_budgets,
)
from adarec_tf.search.cost.cost import search_costs

logger = logging.getLogger(__name__)

COSTS_FILE = "costs.json"


class Frame(NamedTuple):
    """Students of one width.

    Attributes:
      student: their config.
      is_searched: whether there are other widths, so that genotypes have to tell theirs.
      costs: of its students.
      num_alike: cells that get an operation together.
      num_optional: cells that a student may leave out.
      budgets: which all students keep.
    """

    student: StudentConfig
    is_searched: bool
    costs: CostTable
    num_alike: int
    num_optional: int
    budgets: tuple[Budget, ...]

    @property
    def record(self) -> dict[str, int]:
        """What a record of the trace says of the frame."""
        return {"hidden_dim": self.student.hidden_dim} if self.is_searched else {}

    def folder(self, parent: str) -> str:
        """Where in a folder of the search this width has its own."""
        return _width_folder(parent, self.student, self.is_searched)

    def named(self, genotype: Genotype) -> Genotype:
        """The genotype with the width it was found for."""
        width = self.student.hidden_dim if self.is_searched else None
        return dataclasses.replace(genotype, hidden_dim=width)


def reachable_frames(
    teacher: keras.Model | EnsembleTeacher,
    student: StudentConfig,
    search: SearchConfig,
    *,
    max_length: int,
    kept_dir: str,
) -> list[Frame]:
    """The frames in which some student keeps the budgets; others are left out with a log line.

    Args:
      teacher: the unit of the cost, or the first of several is.
      student: the frame but for the widths that are searched.
      search: widths, depths and budgets.
      max_length: items of a history.
      kept_dir: where costs are kept that have to be measured.

    Raises:
      UnreachableBudgetError: in none; of the frame that is nearest to its budget.
      ValueError: the cost table was made for another search.
    """
    frames: list[Frame] = []
    errors: list[UnreachableBudgetError] = []
    for hidden_dim in search.hidden_dims or (student.hidden_dim,):
        of_width = student.replace(hidden_dim=hidden_dim)
        try:
            frames.append(_frame(teacher, of_width, search, max_length, kept_dir))
        except UnreachableBudgetError as error:
            logger.info("stage=search left out hidden_dim=%d: %s", hidden_dim, error)
            errors.append(error)
    if not frames:
        raise min(errors, key=lambda error: error.overrun)
    return frames


def _width_folder(parent: str, student: StudentConfig, is_searched: bool) -> str:
    return os.path.join(parent, f"width_{student.hidden_dim}") if is_searched else parent


def _frame(
    teacher: keras.Model | EnsembleTeacher,
    student: StudentConfig,
    search: SearchConfig,
    max_length: int,
    kept_dir: str,
) -> Frame:
    is_searched = bool(search.hidden_dims)
    num_optional = search.num_optional_cells(student.num_cells)
    costs = search_costs(
        teacher.members[0] if isinstance(teacher, EnsembleTeacher) else teacher,
        student,
        search,
        max_length=max_length,
        kept_path=os.path.join(_width_folder(kept_dir, student, is_searched), COSTS_FILE),
    )
    # Alphas of one cell buy an operation for all of them.
    num_alike = student.num_cells if search.alphas == "shared" else 1
    budgets = find_budgets(search, costs, num_cells=num_alike)
    # With the fewest cells: more cost more.
    check_reachable([budget.without_cells(num_optional) for budget in budgets])
    return Frame(student, is_searched, costs, num_alike, num_optional, budgets)
