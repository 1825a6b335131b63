"""The students that a search chooses from: those of one width, what they cost and may cost.

Each width has a supernet of its own. A narrow one as a slice of a wide one would be trained once
for all widths, but is not what a student of that width has: a table that begins as the best
approximation of the teacher's is of one width, and a norm over fewer channels is another norm.
"""

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import NamedTuple

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.cost_table import CostTable
from adarec_tf.models.students.genotype import Genotype, edge_ends, read_genotype
from adarec_tf.search.cost.budget import (
    Budget,
    UnreachableBudgetError,
    check_reachable,
    find_budgets,
)

logger = logging.getLogger(__name__)


class SearchSpace(NamedTuple):
    """The students of one width.

    Attributes:
      student: their config.
      costs: of each of them.
      is_one_of_several: whether other widths are searched too, so that genotypes tell theirs.
      is_shared: whether all cells of a student have the same operations.
      num_optional: cells that a student may leave out, from the top.
      budgets: which all students keep.
    """

    student: StudentConfig
    costs: CostTable
    is_one_of_several: bool
    is_shared: bool
    num_optional: int
    budgets: tuple[Budget, ...] = ()

    @property
    def num_alike(self) -> int:
        """Cells that get an operation together: it is bought for all of them."""
        return self.student.num_cells if self.is_shared else 1

    @property
    def num_rows(self) -> int:
        """Rows of the alphas: the edges of one cell, or of every cell."""
        num_cells = 1 if self.is_shared else self.student.num_cells
        return num_cells * len(edge_ends(self.student.num_nodes))

    @property
    def depths(self) -> range:
        """Numbers of cells that a student may have."""
        most = self.student.num_cells
        return range(most - self.num_optional, most + 1)

    def within(self, budget: Budget) -> "SearchSpace":
        """The students that keep a further budget as well."""
        return self._replace(budgets=(*self.budgets, budget))

    def budgets_without(self, num_absent: int) -> list[Budget]:
        """The budgets of students that leave so many cells out."""
        return [budget.without_cells(num_absent) for budget in self.budgets]

    def allows(self, genotype: Genotype) -> bool:
        """Whether a genotype without dead edges keeps all budgets."""
        return all(budget.is_kept_by(genotype) for budget in self.budgets)

    @property
    def record(self) -> dict[str, int]:
        """What a record of the trace says of the space."""
        return {"hidden_dim": self.student.hidden_dim} if self.is_one_of_several else {}

    def folder(self, parent: str) -> str:
        """Where in a folder of the search this width has its own."""
        if not self.is_one_of_several:
            return parent
        return os.path.join(parent, f"width_{self.student.hidden_dim}")

    def named(self, genotype: Genotype) -> Genotype:
        """The genotype with the width it was found for."""
        width = self.student.hidden_dim if self.is_one_of_several else None
        return dataclasses.replace(genotype, hidden_dim=width)


def search_space(costs: CostTable, student: StudentConfig, search: SearchConfig) -> SearchSpace:
    """The students of the width that a cost table is of.

    Args:
      costs: of these students, with latencies if a budget or the front is of latency.
      student: their config, but for the width.
      search: widths, depths and budgets.

    Raises:
      ValueError: latency counts, and the table has none.
    """
    if search.reads_latency and not costs.has_latency:
        raise ValueError(
            "`costs` should have latencies, since the search has a budget or a front of them. "
            "Received: a table of counts; measure it with `export.profile.measure_latencies`."
        )
    space = SearchSpace(
        student.replace(hidden_dim=costs.shape.hidden_dim),
        costs,
        is_one_of_several=len(search.hidden_dims) > 1,
        is_shared=search.alphas == "shared",
        num_optional=search.num_optional_cells(student.num_cells),
    )
    return space._replace(budgets=find_budgets(search, costs, num_alike=space.num_alike))


def reachable_spaces(
    costs: Sequence[CostTable], student: StudentConfig, search: SearchConfig
) -> list[SearchSpace]:
    """The widths in which some student keeps the budgets; others are left out with a log line.

    Args:
      costs: of the students of each width.
      student: config of the students, but for the widths that are searched.
      search: widths, depths and budgets.

    Raises:
      UnreachableBudgetError: there is none; of the width that is nearest to its budget.
      ValueError: the tables are not those of the widths, or have no latencies where these count.
    """
    widths = search.hidden_dims or (student.hidden_dim,)
    received = tuple(table.shape.hidden_dim for table in costs)
    if received != widths:
        raise ValueError(
            f"`costs` should be a table for each hidden_dim of {widths}. Received: those of "
            f"{received}."
        )
    spaces: list[SearchSpace] = []
    errors: list[UnreachableBudgetError] = []
    for table in costs:
        space = search_space(table, student, search)
        try:
            # With the fewest cells: more cost more.
            check_reachable(space.budgets_without(space.num_optional))
            spaces.append(space)
        except UnreachableBudgetError as error:
            logger.info("stage=search left out hidden_dim=%d: %s", table.shape.hidden_dim, error)
            errors.append(error)
    if not spaces:
        raise min(errors, key=lambda error: error.overrun)
    return spaces


def given_genotype(costs: CostTable, student: StudentConfig, search: SearchConfig) -> Genotype:
    """The genotype that `search.genotype` names, if it has the right size and keeps the budgets.

    Args:
      costs: of the students of its width.
      student: config of the student, but for the width.
      search: names the file, and the budgets.

    Raises:
      ValueError: there is no such genotype, it is of another size, or overruns a budget.
    """
    genotype = read_genotype(search.genotype).without_dead_edges()
    check_size(genotype, student, search)
    for budget in search_space(costs, student, search).budgets:
        if not budget.is_kept_by(genotype):
            raise ValueError(
                f"`search.genotype` should keep search.{budget.setting}={budget.value:g}. "
                f"Received: {search.genotype}, whose student costs {costs.cost_of(genotype)}."
            )
    return genotype


def check_size(genotype: Genotype, student: StudentConfig, search: SearchConfig) -> None:
    """Checks that a genotype has as many cells and nodes as a student may have.

    Args:
      genotype: of the file that `search.genotype` names.
      student: config of the student.
      search: says how many cells may be left out.

    Raises:
      ValueError: it has others.
    """
    num_cells = len(genotype.cells)
    fewest = student.num_cells - search.num_optional_cells(student.num_cells)
    if not fewest <= num_cells <= student.num_cells or genotype.num_nodes != student.num_nodes:
        at_least = f"{fewest} to " if fewest < student.num_cells else ""
        raise ValueError(
            f"`search.genotype` should have num_cells={at_least}{student.num_cells} and "
            f"num_nodes={student.num_nodes}, as `student` and `search.min_cells` say. Received: "
            f"{search.genotype} with num_cells={num_cells} and num_nodes={genotype.num_nodes}."
        )
