"""One search, several budgets: students that no other one beats in accuracy and in cost.

A ladder of budgets of one quantity says where to begin; evolution goes on from the front so far.
Students that another one dominates are left out. Everything here is pure: metrics come from a
function that is given; `report/front_picture.py` draws the result.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from adarec_tf.models.students.cost_table import Cost
from adarec_tf.models.students.genotype import Genotype, edge_ends
from adarec_tf.search.cost.budget import Budget, budget_of, is_reachable
from adarec_tf.search.cost.budget_ilp import likeliest_within
from adarec_tf.search.selection.evolution import RankedGenotype, new_child
from adarec_tf.search.space.search_space import SearchSpace
from adarec_tf.training.fit import SELECTION_METRIC

_FORMAT_VERSION = 1
_CHILDREN_OF_A_RUNG = 2


class FrontStudent(NamedTuple):
    """One architecture, before it is trained by itself.

    Attributes:
      genotype: the architecture.
      metric: of validation, with the supernet's weights.
      cost: of its student, as the search knows it.
    """

    genotype: Genotype
    metric: float
    cost: Cost

    def to_dict(self) -> dict[str, Any]:
        """The student as plain JSON types."""
        return {
            "genotype": self.genotype.to_dict(),
            SELECTION_METRIC: self.metric,
            "costs": self.cost._asdict(),
        }


class Front(NamedTuple):
    """Students in the order of their cost: each is dearer and better than the one before it.

    Attributes:
      quantity: the field of `Cost` that they differ in.
      searched: the one that the search chose, whether or not another dominates it.
      students: the front.
    """

    quantity: str
    searched: FrontStudent
    students: list[FrontStudent]

    def to_json(self) -> str:
        """The front as readable JSON."""
        values = {
            "format_version": _FORMAT_VERSION,
            "quantity": self.quantity,
            "searched": self.searched.to_dict(),
            "students": [student.to_dict() for student in self.students],
        }
        return json.dumps(values, indent=2) + "\n"


def budget_ladder(space: SearchSpace, quantity: str, size: int) -> list[Budget]:
    """Budgets from the cheapest student to the dearest, in equal steps.

    Args:
      space: the students; some keep all its budgets.
      quantity: the field of `Cost` that the budgets bound.
      size: how many, 2 or more.

    Returns:
      At most `size`; fewer where a step would be less than a quantum.
    """
    rung = budget_of(quantity, 0.0, space.costs, num_alike=space.num_alike)
    num_nodes = space.student.num_nodes
    extremes = []
    for num_absent in range(space.num_optional + 1):
        within = space.budgets_without(num_absent)
        if not is_reachable(within):
            continue
        own = rung.without_cells(num_absent)
        prices = own.row_prices
        num_rows = min(space.num_rows, own.num_cells * len(edge_ends(num_nodes)))
        scores = np.tile(prices.astype(float), (num_rows, 1))
        extremes += [
            int(prices[likeliest_within(sign * scores, within, num_nodes=num_nodes)].sum())
            - num_absent * rung.cell_price
            for sign in (-1.0, 1.0)
        ]
    return [
        rung._replace(allowance=int(allowance), value=rung.setting_for(int(allowance)))
        for allowance in np.unique(np.linspace(min(extremes), max(extremes), size).astype(int))
    ]


def evolve_within(
    ladder: Sequence[Budget],
    ranked: Sequence[RankedGenotype],
    propose: Callable[[SearchSpace], Iterable[Genotype]],
    validate: Callable[[Genotype], float],
    space: SearchSpace,
    *,
    quantity: str,
    seed: int,
) -> list[Genotype]:
    """The best architecture found within each budget of a ladder.

    One population serves all budgets: what is proposed for each of them is validated, and then
    children of those that no other one dominates, two for a budget.

    Args:
      ladder: from `budget_ladder`.
      ranked: what the search has validated, one or more.
      propose: architectures of a space, before anything of it was validated.
      validate: the metric of a genotype, the higher the better.
      space: the students of all budgets.
      quantity: the field of `Cost` that the budgets bound.
      seed: of parents and mutations.

    Returns:
      One genotype a rung; neighbors may be equal.
    """
    generator = np.random.default_rng(seed)
    found = dict(ranked)

    def add(genotype: Genotype) -> None:
        if genotype not in found:
            found[genotype] = validate(genotype)

    def parent() -> Genotype:
        known = [FrontStudent(*member, space.costs.cost_of(member[0])) for member in found.items()]
        front = find_front(known[0], known, quantity).students
        return front[int(generator.integers(len(front)))].genotype

    for rung in ladder:
        for genotype in propose(space.within(rung)):
            add(genotype)
    for _ in range(_CHILDREN_OF_A_RUNG * len(ladder)):
        child = new_child(parent, found, space, generator)
        if child is None:
            break
        add(child)
    return [
        max((genotype for genotype in found if rung.is_kept_by(genotype)), key=found.__getitem__)
        for rung in ladder
    ]


def count_front_validations(size: int) -> int:
    """How many architectures `evolve_within` validates at most.

    Args:
      size: of the ladder; each rung proposes one, and has its children.
    """
    return (1 + _CHILDREN_OF_A_RUNG) * size


def find_front(searched: FrontStudent, others: Iterable[FrontStudent], quantity: str) -> Front:
    """The students that no other one dominates.

    A student is dominated by one that costs no more and is as good, or is better at the same cost.

    Args:
      searched: the one that the search chose; compared like the others.
      others: further students.
      quantity: the field of `Cost` that counts.
    """
    ordered = sorted(
        dict.fromkeys((searched, *others)),
        key=lambda student: (getattr(student.cost, quantity), -student.metric),
    )
    front: list[FrontStudent] = []
    for student in ordered:
        if not front or student.metric > front[-1].metric:
            front.append(student)
    return Front(quantity, searched, front)
