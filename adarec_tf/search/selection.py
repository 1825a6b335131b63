"""Which architectures the alphas propose, and which of them are not worth a look."""

import numpy as np

from adarec_tf.config import StudentConfig
from adarec_tf.search.alphas import OPERATIONS, derive_genotype, draw_operations, genotype_of
from adarec_tf.students.genotype import Genotype
from adarec_tf.students.primitives import NONE, SKIP

_MAX_DRAWS = 200


def likeliest_genotype(alphas: np.ndarray, student: StudentConfig) -> Genotype:
    """The genotype of the likeliest operations, without dead edges."""
    genotype = derive_genotype(alphas, num_nodes=student.num_nodes, num_cells=student.num_cells)
    return genotype.without_dead_edges()


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
    for _ in range(_MAX_DRAWS):
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
