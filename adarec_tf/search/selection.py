"""Which architectures the alphas propose, which are not worth a look, and which are compared."""

from collections.abc import Callable

import numpy as np

from adarec_tf.config import StudentConfig
from adarec_tf.search.alphas import OPERATIONS, derive_genotype, draw_operations, genotype_of
from adarec_tf.search.evolution import RankedGenotype, evolve
from adarec_tf.search_config import SearchConfig
from adarec_tf.students.genotype import Genotype
from adarec_tf.students.primitives import NONE, SKIP

_MAX_DRAWS = 200
_DRAWS_PER_CANDIDATE = 4


def likeliest_genotype(alphas: np.ndarray, student: StudentConfig) -> Genotype:
    """The genotype of the likeliest operations, without dead edges."""
    genotype = derive_genotype(alphas, num_nodes=student.num_nodes, num_cells=student.num_cells)
    return genotype.without_dead_edges()


def ranked_genotypes(
    logits: np.ndarray,
    validate: Callable[[Genotype], float],
    *,
    student: StudentConfig,
    search: SearchConfig,
    seed: int,
) -> list[RankedGenotype]:
    """Validates as many architectures as the search may.

    The first are candidates of the logits: uniform ones where the method does not move alphas. The
    rest of the budget is spent by evolution from them, or by random search on more of their kind.

    Args:
      logits: float32 [E, O], the scaled alphas.
      validate: the metric of a genotype, the higher the better.
      student: the frame of the student.
      search: method and budget: `num_candidates` + 1 + `num_evaluations` in every method.
      seed: of what is drawn; equal arguments give equal results.

    Returns:
      Distinct genotypes with their metrics.
    """
    is_random = search.method == "random"
    num_drawn = search.num_candidates + (search.num_evaluations if is_random else 0)
    candidates = candidate_genotypes(logits, student, num_drawn=num_drawn, seed=seed)
    ranked = [(genotype, validate(genotype)) for genotype in candidates]
    if is_random:
        return ranked
    return ranked + evolve(
        ranked,
        validate,
        num_evaluations=search.num_evaluations,
        is_shared=search.alphas == "shared",
        seed=seed,
    )


def candidate_genotypes(
    alphas: np.ndarray, student: StudentConfig, *, num_drawn: int, seed: int
) -> list[Genotype]:
    """The likeliest architecture and some drawn ones, none of them blind to order.

    Args:
      alphas: float32 [E, O].
      student: the frame of the student.
      num_drawn: how many beside the likeliest one.
      seed: of the draws.

    Returns:
      One or more distinct genotypes, the likeliest first unless it is blind to order.
    """
    found = [likeliest_genotype(alphas, student)]
    generator = np.random.default_rng(seed)
    for _ in range(max(_MAX_DRAWS, _DRAWS_PER_CANDIDATE * num_drawn)):
        operations = draw_operations(alphas, generator)
        genotype = genotype_of(operations, num_nodes=student.num_nodes, num_cells=student.num_cells)
        found.append(genotype.without_dead_edges())
    distinct = [genotype for genotype in dict.fromkeys(found) if not genotype.is_degenerate]
    if not distinct:
        return [likeliest_genotype(_without_blind_operations(alphas), student)]
    return distinct[: num_drawn + 1]


def _without_blind_operations(alphas: np.ndarray) -> np.ndarray:
    """Alphas whose first edge must look at more than one position."""
    repaired = alphas.copy()
    repaired[0, [OPERATIONS.index(name) for name in (NONE, SKIP)]] = -np.inf
    return repaired
