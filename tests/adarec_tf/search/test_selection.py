import dataclasses

import numpy as np
import pytest

from adarec_tf.config import StudentConfig
from adarec_tf.search.alphas import OPERATIONS, initial_alphas
from adarec_tf.search.budget import Budget, find_budgets
from adarec_tf.search.evolution import RankedGenotype
from adarec_tf.search.selection import candidate_genotypes, likeliest_genotype, ranked_genotypes
from adarec_tf.search_config import SearchConfig
from adarec_tf.students.genotype import Genotype
from tests.adarec_tf.search.hand_made_costs import cost_table

STUDENT = StudentConfig(num_cells=2, num_nodes=2)
TABLE = cost_table()
SEARCH = SearchConfig(num_candidates=3, num_evaluations=20)


def _logits(num_rows: int = 3, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(0).normal(size=(num_rows, len(OPERATIONS)))


def _num_best(genotype: Genotype) -> float:
    return float(sum(edge.primitive == "max_pool_3" for cell in genotype.cells for edge in cell))


def _ranked(
    method: str, logits: np.ndarray, seed: int = 1, num_evaluations: int = 20
) -> tuple[list[RankedGenotype], int]:
    calls: list[Genotype] = []

    def validate(genotype: Genotype) -> float:
        calls.append(genotype)
        return _num_best(genotype)

    search = dataclasses.replace(SEARCH, method=method, num_evaluations=num_evaluations)
    return ranked_genotypes(logits, validate, student=STUDENT, search=search, seed=seed), len(calls)


@pytest.mark.parametrize("method", SearchConfig.METHODS)
def test_every_method_validates_as_many_distinct_genotypes(method: str) -> None:
    ranked, num_validated = _ranked(method, initial_alphas(3, seed=0))
    assert num_validated == len({genotype for genotype, _ in ranked}) == 3 + 1 + 20
    assert not any(genotype.is_degenerate for genotype, _ in ranked)
    assert _ranked(method, initial_alphas(3, seed=0))[0] == ranked
    assert _ranked(method, initial_alphas(3, seed=0), seed=2)[0] != ranked


def test_evolution_breeds_from_what_was_best_and_random_search_does_not() -> None:
    best = {}
    for method in ("random", "evolution"):
        ranked, _ = _ranked(method, initial_alphas(3, seed=0), num_evaluations=80)
        best[method] = max(metric for _, metric in ranked)
    # Three edges in two cells.
    assert best["evolution"] == 6.0 > best["random"]


def test_without_further_evaluations_candidates_are_all() -> None:
    search = dataclasses.replace(SEARCH, num_evaluations=0)
    ranked = ranked_genotypes(_logits(), _num_best, student=STUDENT, search=search, seed=1)
    candidates = candidate_genotypes(_logits(), STUDENT, num_drawn=3, seed=1)
    assert [genotype for genotype, _ in ranked] == candidates
    assert [metric for _, metric in ranked] == [_num_best(genotype) for genotype in candidates]


@pytest.mark.parametrize(("num_rows", "are_alike"), [(3, True), (6, False)])
def test_cells_are_alike_where_alphas_are_shared(num_rows: int, are_alike: bool) -> None:
    candidates = candidate_genotypes(_logits(num_rows), STUDENT, num_drawn=5, seed=1)
    assert len(candidates) == 6
    assert all((genotype.cells[0] == genotype.cells[1]) == are_alike for genotype in candidates)


def test_alphas_that_believe_in_nothing_still_give_a_student_that_sees_order() -> None:
    logits = np.full((3, len(OPERATIONS)), -50.0)
    logits[:, OPERATIONS.index("skip")] = 50.0
    [genotype] = candidate_genotypes(logits, STUDENT, num_drawn=3, seed=1)
    assert not genotype.is_degenerate


def _budgets(**settings: float) -> tuple[Budget, ...]:
    return find_budgets(SearchConfig(**settings), TABLE, num_cells=2)  # type: ignore[arg-type]


def _alphas(*likeliest: str) -> np.ndarray:
    """Float32 [E, O]: certain of these operations."""
    return (
        20.0 * np.eye(len(OPERATIONS), dtype=np.float32)[[OPERATIONS.index(n) for n in likeliest]]
    )


def _primitives(cell: tuple) -> list[str]:
    return [edge.primitive for edge in cell]


def test_a_genotype_within_its_budgets_is_left_as_it_is() -> None:
    alphas = _alphas("conv_3", "skip", "max_pool_3")
    genotype = likeliest_genotype(alphas, STUDENT, _budgets(max_macs=600))
    assert genotype == likeliest_genotype(alphas, STUDENT)
    assert _primitives(genotype.cells[0]) == ["conv_3", "skip", "max_pool_3"]


def test_operations_on_dead_edges_are_not_paid_for() -> None:
    alphas = _alphas("none", "conv_3", "conv_5")
    genotype = likeliest_genotype(alphas, STUDENT, _budgets(max_macs=600))
    assert _primitives(genotype.cells[0]) == ["none", "conv_3", "none"]


def test_an_overrun_is_repaired_where_the_alphas_mind_least() -> None:
    alphas = _alphas("conv_3", "conv_3", "conv_3")
    alphas[1, OPERATIONS.index("skip")] = 18.0
    alphas[2, OPERATIONS.index("max_pool_3")] = 17.0
    one_less = likeliest_genotype(alphas, STUDENT, _budgets(max_macs=1200))
    assert _primitives(one_less.cells[1]) == ["conv_3", "skip", "conv_3"]
    two_less = likeliest_genotype(alphas, STUDENT, _budgets(max_macs=1199))
    assert _primitives(two_less.cells[1]) == ["conv_3", "skip", "max_pool_3"]
    assert TABLE.cost_of(two_less).macs == 600


@pytest.mark.parametrize(
    "settings",
    [{"max_macs": 700}, {"latency_budget_ms": 1.5}, {"max_bytes": 500, "max_latency_share": 0.35}],
)
def test_every_candidate_keeps_every_budget(settings: dict[str, float]) -> None:
    alphas = np.random.default_rng(1).normal(size=(3, len(OPERATIONS))).astype(np.float32)
    candidates = candidate_genotypes(alphas, STUDENT, _budgets(**settings), num_drawn=6, seed=3)
    assert len(set(candidates)) == len(candidates) == 7
    for genotype in candidates:
        cost = TABLE.cost_of(genotype)
        assert not genotype.is_degenerate
        assert cost.macs <= settings.get("max_macs", np.inf)
        assert cost.served_bytes <= settings.get("max_bytes", np.inf)
        assert cost.latency_ms <= settings.get("latency_budget_ms", np.inf) + 1e-9
        assert cost.latency_ms <= 4.0 * settings.get("max_latency_share", np.inf) + 1e-9


def test_where_all_are_blind_to_order_the_likeliest_that_is_not_is_found() -> None:
    alphas = _alphas("skip", "skip", "none")
    alphas[1, OPERATIONS.index("conv_5")] = 15.0
    alphas[2, OPERATIONS.index("average_pool_3")] = 14.0
    [seeing] = candidate_genotypes(alphas, STUDENT, num_drawn=0, seed=1)
    assert _primitives(seeing.cells[0]) == ["skip", "conv_5", "none"]
    [cheap] = candidate_genotypes(alphas, STUDENT, _budgets(max_macs=1), num_drawn=0, seed=1)
    assert _primitives(cheap.cells[0]) == ["skip", "skip", "average_pool_3"]


def test_the_first_candidates_do_not_depend_on_how_many_are_asked_for() -> None:
    alphas = np.random.default_rng(2).normal(size=(3, len(OPERATIONS))).astype(np.float32)
    few = candidate_genotypes(alphas, STUDENT, num_drawn=2, seed=4)
    many = candidate_genotypes(alphas, STUDENT, num_drawn=9, seed=4)
    assert many[:3] == few
    assert few[0] == likeliest_genotype(alphas, STUDENT)


@pytest.mark.parametrize("method", SearchConfig.METHODS)
@pytest.mark.parametrize("alphas", SearchConfig.ALPHAS)
def test_every_method_keeps_the_budgets(method: str, alphas: str) -> None:
    search = dataclasses.replace(SEARCH, method=method, alphas=alphas, max_macs=1000)
    is_shared = alphas == "shared"
    budgets = find_budgets(search, TABLE, num_cells=2 if is_shared else 1)
    logits = initial_alphas(3 if is_shared else 6, seed=0)
    ranked = ranked_genotypes(logits, _num_best, budgets, student=STUDENT, search=search, seed=1)
    assert len(ranked) == 3 + 1 + 20
    assert max(TABLE.cost_of(genotype).macs for genotype, _ in ranked) <= 1000
    assert max(TABLE.cost_of(genotype).macs for genotype, _ in ranked) > 0
