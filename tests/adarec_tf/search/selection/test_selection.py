import itertools
from collections.abc import Callable

import numpy as np
import pytest

from adarec_tf.config.search import SearchConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.selection.evolution import RankedGenotype
from adarec_tf.search.selection.selection import (
    _likeliest_within,
    candidate_genotypes,
    likeliest_genotype,
    ranked_genotypes,
)
from adarec_tf.search.space.alphas import OPERATIONS, ArchitectureLogits, initial_alphas
from adarec_tf.search.space.search_space import SearchSpace
from tests.adarec_tf.search.hand_made_costs import cost_table, space

TABLE = cost_table()
SEARCH = SearchConfig(num_evaluations=20)
NUM_CANDIDATES = 3


def _logits(num_rows: int = 3, scale: float = 1.0) -> ArchitectureLogits:
    return ArchitectureLogits(
        scale * np.random.default_rng(0).normal(size=(num_rows, len(OPERATIONS)))
    )


def _num_best(genotype: Genotype) -> float:
    return float(sum(edge.primitive == "max_pool_3" for cell in genotype.cells for edge in cell))


def _rank(
    logits: ArchitectureLogits,
    validate: Callable[[Genotype], float],
    students: SearchSpace,
    search: SearchConfig,
    seed: int = 1,
) -> list[RankedGenotype]:
    return ranked_genotypes(
        logits, validate, students, search, num_candidates=NUM_CANDIDATES, seed=seed
    )


def _ranked(
    method: str, logits: ArchitectureLogits, seed: int = 1, num_evaluations: int = 20
) -> tuple[list[RankedGenotype], int]:
    calls: list[Genotype] = []

    def validate(genotype: Genotype) -> float:
        calls.append(genotype)
        return _num_best(genotype)

    search = SEARCH.replace(method=method, num_evaluations=num_evaluations)
    return _rank(logits, validate, space(), search, seed), len(calls)


@pytest.mark.parametrize("method", SearchConfig.choices("method"))
def test_every_method_validates_as_many_distinct_genotypes(method: str) -> None:
    ranked, num_validated = _ranked(method, ArchitectureLogits(initial_alphas(3, seed=0)))
    assert num_validated == len({genotype for genotype, _ in ranked}) == 3 + 1 + 20
    assert not any(genotype.is_degenerate for genotype, _ in ranked)
    assert _ranked(method, ArchitectureLogits(initial_alphas(3, seed=0)))[0] == ranked
    assert _ranked(method, ArchitectureLogits(initial_alphas(3, seed=0)), seed=2)[0] != ranked


def test_evolution_breeds_from_what_was_best_and_random_search_does_not() -> None:
    best = {}
    for method in ("random", "evolution"):
        ranked, _ = _ranked(
            method, ArchitectureLogits(initial_alphas(3, seed=0)), num_evaluations=80
        )
        best[method] = max(metric for _, metric in ranked)
    # Three edges in two cells.
    assert best["evolution"] == 6.0 > best["random"]


def test_without_further_evaluations_candidates_are_all() -> None:
    search = SEARCH.replace(num_evaluations=0)
    ranked = _rank(_logits(), _num_best, space(), search)
    candidates = candidate_genotypes(_logits(), space(), num_drawn=3, seed=1)
    assert [genotype for genotype, _ in ranked] == candidates
    assert [metric for _, metric in ranked] == [_num_best(genotype) for genotype in candidates]


@pytest.mark.parametrize(
    ("alphas", "num_rows", "are_alike"), [("shared", 3, True), ("per_cell", 6, False)]
)
def test_cells_are_alike_where_alphas_are_shared(
    alphas: str, num_rows: int, are_alike: bool
) -> None:
    students = space(alphas=alphas)
    assert students.num_rows == num_rows
    candidates = candidate_genotypes(_logits(num_rows), students, num_drawn=5, seed=1)
    assert len(candidates) == 6
    assert all((genotype.cells[0] == genotype.cells[1]) == are_alike for genotype in candidates)


def test_alphas_that_believe_in_nothing_still_give_a_student_that_sees_order() -> None:
    logits = np.full((3, len(OPERATIONS)), -50.0)
    logits[:, OPERATIONS.index("skip")] = 50.0
    [genotype] = candidate_genotypes(ArchitectureLogits(logits), space(), num_drawn=3, seed=1)
    assert not genotype.is_degenerate


def _alphas(*likeliest: str) -> np.ndarray:
    """Float32 [E, O]: certain of these operations."""
    return (
        20.0 * np.eye(len(OPERATIONS), dtype=np.float32)[[OPERATIONS.index(n) for n in likeliest]]
    )


def _primitives(cell: tuple) -> list[str]:
    return [edge.primitive for edge in cell]


def test_a_genotype_within_its_budgets_is_left_as_it_is() -> None:
    alphas = _alphas("conv_3", "skip", "max_pool_3")
    genotype = likeliest_genotype(ArchitectureLogits(alphas), space(max_macs=600))
    assert genotype == likeliest_genotype(ArchitectureLogits(alphas), space())
    assert _primitives(genotype.cells[0]) == ["conv_3", "skip", "max_pool_3"]


def test_operations_on_dead_edges_are_not_paid_for() -> None:
    alphas = _alphas("none", "conv_3", "conv_5")
    genotype = likeliest_genotype(ArchitectureLogits(alphas), space(max_macs=600))
    assert _primitives(genotype.cells[0]) == ["none", "conv_3", "none"]


def test_an_overrun_is_repaired_where_the_alphas_mind_least() -> None:
    alphas = _alphas("conv_3", "conv_3", "conv_3")
    alphas[1, OPERATIONS.index("skip")] = 18.0
    alphas[2, OPERATIONS.index("max_pool_3")] = 17.0
    one_less = likeliest_genotype(ArchitectureLogits(alphas), space(max_macs=1200))
    assert _primitives(one_less.cells[1]) == ["conv_3", "skip", "conv_3"]
    two_less = likeliest_genotype(ArchitectureLogits(alphas), space(max_macs=1199))
    assert _primitives(two_less.cells[1]) == ["conv_3", "skip", "max_pool_3"]
    assert TABLE.cost_of(two_less).macs == 600


@pytest.mark.parametrize(
    "settings",
    [{"max_macs": 700}, {"latency_budget_ms": 1.5}, {"max_bytes": 500, "latency_budget_ms": 1.4}],
)
def test_every_candidate_keeps_every_budget(settings: dict[str, float]) -> None:
    alphas = np.random.default_rng(1).normal(size=(3, len(OPERATIONS))).astype(np.float32)
    candidates = candidate_genotypes(
        ArchitectureLogits(alphas), space(**settings), num_drawn=6, seed=3
    )
    assert len(set(candidates)) == len(candidates) == 7
    for genotype in candidates:
        cost = TABLE.cost_of(genotype)
        assert not genotype.is_degenerate
        assert cost.macs <= settings.get("max_macs", np.inf)
        assert cost.served_bytes <= settings.get("max_bytes", np.inf)
        assert cost.latency_ms <= settings.get("latency_budget_ms", np.inf) + 1e-9


def test_where_all_are_blind_to_order_the_likeliest_that_is_not_is_found() -> None:
    alphas = _alphas("skip", "skip", "none")
    alphas[1, OPERATIONS.index("conv_5")] = 15.0
    alphas[2, OPERATIONS.index("average_pool_3")] = 14.0
    [seeing] = candidate_genotypes(ArchitectureLogits(alphas), space(), num_drawn=0, seed=1)
    assert _primitives(seeing.cells[0]) == ["skip", "conv_5", "none"]
    [cheap] = candidate_genotypes(
        ArchitectureLogits(alphas), space(max_macs=1), num_drawn=0, seed=1
    )
    assert _primitives(cheap.cells[0]) == ["skip", "skip", "average_pool_3"]


def test_the_first_candidates_do_not_depend_on_how_many_are_asked_for() -> None:
    alphas = np.random.default_rng(2).normal(size=(3, len(OPERATIONS))).astype(np.float32)
    few = candidate_genotypes(ArchitectureLogits(alphas), space(), num_drawn=2, seed=4)
    many = candidate_genotypes(ArchitectureLogits(alphas), space(), num_drawn=9, seed=4)
    assert many[:3] == few
    assert few[0] == likeliest_genotype(ArchitectureLogits(alphas), space())


@pytest.mark.parametrize("method", SearchConfig.choices("method"))
@pytest.mark.parametrize("alphas", SearchConfig.choices("alphas"))
def test_every_method_keeps_the_budgets(method: str, alphas: str) -> None:
    students = space(alphas=alphas, max_macs=1000)
    logits = ArchitectureLogits(initial_alphas(students.num_rows, seed=0))
    ranked = _rank(logits, _num_best, students, SEARCH.replace(method=method))
    assert len(ranked) == 3 + 1 + 20
    assert max(TABLE.cost_of(genotype).macs for genotype, _ in ranked) <= 1000
    assert max(TABLE.cost_of(genotype).macs for genotype, _ in ranked) > 0


def _depths(*logits: float) -> np.ndarray:
    """Of leaving out none and one of the two cells."""
    return np.array(logits, np.float32)


def test_the_likeliest_depth_is_taken_and_its_cells_are_the_lowest() -> None:
    alphas = _alphas("conv_3", "skip", "max_pool_3", "conv_5", "skip", "conv_5")
    deep, shallow = (
        likeliest_genotype(ArchitectureLogits(alphas, _depths(*depths)), space(min_cells=1))
        for depths in ((0.2, 0.1), (0.1, 0.2))
    )
    assert deep == likeliest_genotype(ArchitectureLogits(alphas), space())
    assert shallow.cells == deep.cells[:1]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("num_rows", [3, 6])
def test_within_budgets_depth_and_operations_are_the_likeliest_together(
    num_rows: int, seed: int
) -> None:
    """Against every architecture of three operations; the choice on absent edges is free."""
    names = ("conv_3", "max_pool_3", "none")
    generator = np.random.default_rng(seed)
    scores = np.full((num_rows, len(OPERATIONS)), -99.0)
    scores[:, [OPERATIONS.index(name) for name in names]] = generator.normal(size=(num_rows, 3))
    depths = generator.normal(size=2)
    found = {}
    for choice in itertools.product(names, repeat=num_rows):
        picked = [scores[row, OPERATIONS.index(name)] for row, name in enumerate(choice)]
        for absent in (0, 1):
            rows = choice[: 3 * (2 - absent)]
            cells = [rows[:3]] * (2 - absent) if num_rows == 3 else [rows[:3], rows[3:]]
            genotype = Genotype.from_primitives(2, cells[: 2 - absent])
            if genotype == genotype.without_dead_edges() and not genotype.is_degenerate:
                score = depths[absent] + sum(picked)
                found[genotype] = max(found.get(genotype, -np.inf), score)
    alphas = "shared" if num_rows == 3 else "per_cell"
    students = space(alphas=alphas, min_cells=1, max_bytes=760, max_macs=800)
    kept = [genotype for genotype in found if students.allows(genotype)]
    assert 0 < len(kept) < len(found)
    genotype = _likeliest_within(ArchitectureLogits(scores, depths), students)
    assert genotype == max(kept, key=found.__getitem__)


def test_a_depth_that_no_budget_reaches_is_not_proposed() -> None:
    # A pool in one cell; in two cells it takes 0.1 ms and a cell's 0.05 ms more.
    students = space(min_cells=1, latency_budget_ms=1.06)
    logits = ArchitectureLogits(initial_alphas(3, seed=0), _depths(9.0, 0.0))
    candidates = candidate_genotypes(logits, students, num_drawn=3, seed=1)
    assert {len(genotype.cells) for genotype in candidates} == {1}
    assert all(TABLE.cost_of(genotype).latency_ms <= 1.06 for genotype in candidates)


@pytest.mark.parametrize("method", SearchConfig.choices("method"))
def test_every_method_proposes_every_depth(method: str) -> None:
    students = space(alphas="per_cell", min_cells=1)
    logits = ArchitectureLogits(initial_alphas(6, seed=0), _depths(0.0, 0.0))
    ranked = _rank(logits, _num_best, students, SEARCH.replace(method=method))
    assert {len(genotype.cells) for genotype, _ in ranked} == {1, 2}
