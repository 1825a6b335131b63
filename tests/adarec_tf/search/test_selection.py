import dataclasses

import numpy as np
import pytest

from adarec_tf.config import StudentConfig
from adarec_tf.search.alphas import OPERATIONS, initial_alphas
from adarec_tf.search.evolution import RankedGenotype
from adarec_tf.search.selection import candidate_genotypes, ranked_genotypes
from adarec_tf.search_config import SearchConfig
from adarec_tf.students.genotype import Genotype

STUDENT = StudentConfig(num_cells=2, num_nodes=2)
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
