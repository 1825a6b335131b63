import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.selection import evolution
from adarec_tf.search.selection.evolution import RankedGenotype, evolve, mutate
from adarec_tf.search.space.alphas import OPERATIONS, genotype_of
from adarec_tf.search.space.search_space import SearchSpace
from tests.adarec_tf.search.hand_made_costs import STUDENT, space

OPERATION_INDICES = st.lists(st.integers(0, len(OPERATIONS) - 1), min_size=6, max_size=6)


def _genotype(*operations: int) -> Genotype:
    return genotype_of(operations, num_nodes=2, num_cells=2)


def _space(is_shared: bool) -> SearchSpace:
    return space(alphas="shared" if is_shared else "per_cell")


def _primitives(genotype: Genotype) -> list[str]:
    return [edge.primitive for cell in genotype.cells for edge in cell]


def _num_best(genotype: Genotype) -> float:
    return float(_primitives(genotype).count("dilated_2_conv_3"))


@settings(max_examples=50, deadline=None)
@given(OPERATION_INDICES, st.integers(0, 99), st.booleans())
def test_a_child_differs_from_a_parent_without_dead_edges_in_one_edge_and_what_dies_of_it(
    operations: list[int], seed: int, is_shared: bool
) -> None:
    num_cells, rows = (2, operations[:3]) if is_shared else (2, operations)
    parent = genotype_of(rows, num_nodes=2, num_cells=num_cells).without_dead_edges()
    child = mutate(parent, _space(is_shared), np.random.default_rng(seed))
    pairs = [
        pair
        for old, new in zip(parent.cells, child.cells, strict=True)
        for pair in zip(old, new, strict=True)
    ]
    changed = [new for old, new in pairs if old != new]
    alive = [edge for edge in changed if edge.primitive != "none"]
    assert len(alive) <= (num_cells if is_shared else 1)
    assert child == child.without_dead_edges()
    if is_shared:
        assert child.cells[0] == child.cells[1]


@pytest.mark.parametrize("is_shared", [True, False])
def test_evolution_climbs(is_shared: bool) -> None:
    first = [(g, _num_best(g)) for g in (_genotype(i, 0, 0) for i in range(8) if i != 2)]
    assert max(metric for _, metric in first) == 0.0
    # Of a thousand genotypes, or of a million.
    num_evaluations = 200 if is_shared else 400
    children = evolve(first, _num_best, _space(is_shared), num_evaluations=num_evaluations, seed=1)
    assert max(metric for _, metric in children) >= 5.0


def test_children_are_new_see_order_and_follow_the_seed() -> None:
    first = [(_genotype(0, 8, 8), 1.0)]

    def run(seed: int) -> list[RankedGenotype]:
        return evolve(first, _num_best, space(), num_evaluations=40, seed=seed)

    children = run(3)
    genotypes = [genotype for genotype, _ in [*first, *children]]
    assert len(set(genotypes)) == len(genotypes) == 41
    assert not any(genotype.is_degenerate for genotype in genotypes)
    assert run(3) == children
    assert run(4) != children


def test_the_oldest_dies_however_good_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a population of one, each child is the next parent."""
    monkeypatch.setattr(evolution, "_POPULATION_SIZE", 1)
    parent = _genotype(0, 0, 0)
    metrics = iter(range(100, 0, -1))
    children = evolve([(parent, 1e9)], lambda _: next(metrics), space(), num_evaluations=8, seed=0)
    lineage = [parent, *(genotype for genotype, _ in children)]
    for older, younger in itertools.pairwise(lineage):
        pairs = zip(older.cells[0], younger.cells[0], strict=True)
        assert sum(a != b and b.primitive != "none" for a, b in pairs) <= 1


def test_validation_is_asked_as_often_as_allowed() -> None:
    calls: list[Genotype] = []
    validate: Callable[[Genotype], float] = lambda g: calls.append(g) or 0.0  # noqa: E731
    first = [(_genotype(0, 0, 0), 0.0)]
    evolve(first, validate, _space(False), num_evaluations=7, seed=0)
    assert len(calls) == 7


@pytest.mark.parametrize("is_shared", [True, False])
def test_depths_mutate_to_those_that_are_allowed(is_shared: bool) -> None:
    parent = _genotype(0, 4, 6, 1, 2, 3) if not is_shared else _genotype(0, 4, 6)
    generator = np.random.default_rng(0)
    student = STUDENT.replace(num_cells=4)
    students = _space(is_shared)._replace(student=student, num_optional=3)
    children = [mutate(parent, students, generator) for _ in range(200)]
    counts = np.bincount([len(child.cells) for child in children], minlength=5)
    assert counts[0] == 0
    assert min(counts[[1, 3, 4]]) > 0
    assert 0.15 < counts[[1, 3, 4]].sum() / 200 < 0.35
    for child in children:
        if len(child.cells) != 2:
            expected = [*parent.cells, parent.cells[-1], parent.cells[-1]][: len(child.cells)]
            assert list(child.cells) == expected


def test_the_depth_mutates_also_where_one_cell_alone_may_be_left_out() -> None:
    parent = _genotype(0, 4, 6)
    students = _space(True)._replace(student=STUDENT.replace(num_cells=2), num_optional=1)
    generator = np.random.default_rng(0)
    depths = {len(mutate(parent, students, generator).cells) for _ in range(50)}
    assert depths == {1, 2}
