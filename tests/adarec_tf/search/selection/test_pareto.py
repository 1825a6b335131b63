import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adarec_tf.models.students.cost_table import Cost
from adarec_tf.models.students.genotype import Genotype, read_genotype
from adarec_tf.search.cost.budget import Budget
from adarec_tf.search.selection import pareto
from adarec_tf.search.selection.evolution import new_child
from adarec_tf.search.selection.pareto import (
    FrontStudent,
    budget_ladder,
    count_front_validations,
    evolve_within,
    find_front,
)
from adarec_tf.search.selection.selection import candidate_genotypes
from adarec_tf.search.space.alphas import ArchitectureLogits, initial_alphas
from adarec_tf.search.space.search_space import SearchSpace
from tests.adarec_tf.search.hand_made_costs import cost_table, space

TABLE = cost_table()


def _ladder(quantity: str, size: int, **budgets: float) -> list[Budget]:
    """Of two cells with three edges each, which share their operations."""
    return budget_ladder(space(**budgets), quantity, size)


@pytest.mark.parametrize(
    ("quantity", "setting", "budgets", "values"),
    [
        # From a pool, which takes none, to convolutions of five taps everywhere.
        ("macs", "max_macs", {}, [0, 1000, 2000, 3000]),
        # A budget of 1,500 leaves room for two convolutions of three taps in both cells.
        ("macs", "max_macs", {"max_macs": 1500}, [0, 400, 800, 1200]),
        # Beside the rest: a pool in two cells, and six convolutions of half a millisecond.
        ("latency_ms", "latency_budget_ms", {}, [1.2, 2.1333, 3.0666, 4.0]),
        ("parameters", "max_parameters", {}, [100, 200, 300, 400]),
        # Who keeps the budget has one pool a cell, and so there is nothing to choose.
        ("macs", "max_macs", {"latency_budget_ms": 1.2}, [0]),
    ],
)
def test_the_ladder_by_hand(
    quantity: str, setting: str, budgets: dict[str, float], values: list[float]
) -> None:
    ladder = _ladder(quantity, 4, **budgets)
    assert [rung.value for rung in ladder] == pytest.approx(values)
    assert {rung.setting for rung in ladder} == {setting}


@pytest.mark.parametrize("alphas", ["shared", "per_cell"])
def test_the_ladder_goes_from_the_fewest_cells_to_all_of_them(alphas: str) -> None:
    # A pool in the one cell that is left, of 24 bytes less; six convolutions of 200 bytes.
    ladder = budget_ladder(space(alphas=alphas, min_cells=1), "served_bytes", 2)
    assert [rung.value for rung in ladder] == [376, 1600]
    # What only one cell can keep leaves one pool there, and nothing to choose.
    shallow = space(alphas=alphas, min_cells=1, latency_budget_ms=1.06)
    assert [rung.value for rung in budget_ladder(shallow, "served_bytes", 2)] == [376]


def test_each_rung_has_the_best_of_all_that_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[Genotype] = []
    asked: list[SearchSpace] = []
    proposed: set[Genotype] = set()

    def macs(genotype: Genotype) -> float:
        return float(TABLE.cost_of(genotype).macs)

    def validate(genotype: Genotype) -> float:
        validated.append(genotype)
        # Two of three add nothing for what they cost, so that many are dominated.
        return macs(genotype) // 600

    def propose(within: SearchSpace) -> list[Genotype]:
        logits = ArchitectureLogits(initial_alphas(3, seed=0))
        found = candidate_genotypes(logits, within, num_drawn=0, seed=1)
        asked.append(within)
        proposed.update(found)
        return found

    def checked_child(draw_parent: Callable[[], Genotype], *arguments: Any) -> Genotype | None:
        parent = draw_parent()
        known = {lucky: 0.5} | {genotype: macs(genotype) // 600 for genotype in validated}
        assert not any(
            macs(other) <= macs(parent)
            and metric >= known[parent]
            and (macs(other), -metric) != (macs(parent), -known[parent])
            for other, metric in known.items()
        )
        return new_child(draw_parent, *arguments)

    def best_within(ladder: list[Budget], **budgets: float) -> list[Genotype]:
        for seen in (validated, asked, proposed):
            seen.clear()
        whole = space(**budgets)
        ranked = [(lucky, 0.5)]
        return evolve_within(ladder, ranked, propose, validate, whole, quantity="macs", seed=1)

    monkeypatch.setattr(pareto, "new_child", checked_child)
    ladder = _ladder("macs", 4)
    lucky = Genotype.from_primitives(2, [["max_pool_3", "none", "none"], ["skip"] * 3])
    best = best_within(ladder)
    assert best[0] == lucky
    assert macs(best[-1]) > 1000
    assert all(macs(genotype) <= rung.value for genotype, rung in zip(best, ladder, strict=True))
    assert [within.budgets[-1] for within in asked] == ladder
    # Nothing is validated twice: what is proposed for each rung, and two new children of each.
    assert lucky not in validated
    assert len(set(validated)) == len(validated) == len(proposed - {lucky}) + 2 * len(ladder)
    assert len(validated) <= count_front_validations(len(ladder)) == 3 * len(ladder)
    # The budget of the whole search is kept as well.
    for genotype in best_within(ladder[1:], max_bytes=500):
        assert TABLE.cost_of(genotype).served_bytes <= 500


def _student(macs: int, metric: float, operation: str = "skip") -> FrontStudent:
    genotype = Genotype.from_primitives(2, [["conv_3", operation, operation]])
    return FrontStudent(genotype, metric, Cost(1, macs, 4))


def test_the_front_by_hand() -> None:
    [first, second, dearer, worse, equal, best] = [
        _student(*figures)
        for figures in [(1, 0.1), (2, 0.3), (4, 0.25), (2, 0.2), (3, 0.3), (5, 0.5)]
    ]
    front = find_front(dearer, [best, worse, second, equal, first, first], "macs")
    assert front.students == [first, second, best]
    assert front.searched == dearer
    assert find_front(best, [], "macs").students == [best]
    # All cost alike in another quantity.
    assert find_front(first, [second, best], "served_bytes").students == [best]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_a_student_is_in_the_front_or_dominated_by_one_of_it(
    figures: list[tuple[int, int]],
) -> None:
    students = [_student(macs, float(metric)) for macs, metric in figures]
    front = find_front(students[0], students[1:], "macs").students

    def dominates(one: FrontStudent, other: FrontStudent) -> bool:
        return one.cost.macs <= other.cost.macs and one.metric >= other.metric

    for student in students:
        assert any(dominates(member, student) for member in front)
    for member in front:
        assert [one for one in front if dominates(one, member)] == [member]


def test_a_student_is_read_back_by_its_number(tmp_path: Path) -> None:
    one, other = _student(1, 0.1), _student(2, 0.3, "conv_5")
    path = tmp_path / "front.json"
    path.write_text(find_front(one, [other], "macs").to_json())
    assert read_genotype(f"{path}:1") == one.genotype
    assert read_genotype(f"{path}:2") == other.genotype
    written = json.loads(path.read_text())
    assert written["students"][1]["costs"]["macs"] == 2
    assert written["students"][1]["ndcg@10/full"] == 0.3
    assert written["searched"] == written["students"][0]
