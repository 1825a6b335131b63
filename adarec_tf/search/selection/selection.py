"""Which architectures the alphas propose, which are not worth a look, and which are compared."""

from collections.abc import Callable

import numpy as np

from adarec_tf.config.search import SearchConfig
from adarec_tf.models.students.genotype import Genotype, edge_ends
from adarec_tf.search.cost.budget import is_reachable
from adarec_tf.search.cost.budget_ilp import likeliest_within
from adarec_tf.search.selection.evolution import RankedGenotype, evolve
from adarec_tf.search.space.alphas import (
    ArchitectureLogits,
    add_noise,
    derive_genotype,
    genotype_of,
)
from adarec_tf.search.space.search_space import SearchSpace

_MAX_DRAWS = 200
_DRAWS_PER_CANDIDATE = 4


def likeliest_genotype(architecture_logits: ArchitectureLogits, space: SearchSpace) -> Genotype:
    """The genotype of the likeliest depth and operations, without dead edges.

    Args:
      architecture_logits: of operations and depths, with or without noise.
      space: the students; where the likeliest genotype overruns a budget, the likeliest that keeps
        all of them takes its place.
    """
    student = space.student
    genotype = derive_genotype(
        architecture_logits, num_nodes=student.num_nodes, num_cells=student.num_cells
    ).without_dead_edges()
    return genotype if space.allows(genotype) else _likeliest_within(architecture_logits, space)


def ranked_genotypes(
    architecture_logits: ArchitectureLogits,
    validate: Callable[[Genotype], float],
    space: SearchSpace,
    search: SearchConfig,
    *,
    num_candidates: int,
    seed: int,
) -> list[RankedGenotype]:
    """Validates as many architectures as the search may.

    The first are candidates of the logits: uniform ones where the method does not move alphas. The
    rest of the budget is spent by evolution from them, or by random search on more of their kind.

    Args:
      architecture_logits: of operations and depths.
      validate: the metric of a genotype, the higher the better.
      space: the students.
      search: method and `num_evaluations`.
      num_candidates: how many are drawn beside the likeliest; so every method validates
        `num_candidates` + 1 + `num_evaluations`.
      seed: of what is drawn; equal arguments give equal results.

    Returns:
      Distinct genotypes with their metrics.
    """
    is_random = search.method == "random"
    num_drawn = num_candidates + (search.num_evaluations if is_random else 0)
    candidates = candidate_genotypes(architecture_logits, space, num_drawn=num_drawn, seed=seed)
    ranked = [(genotype, validate(genotype)) for genotype in candidates]
    if is_random:
        return ranked
    return ranked + evolve(
        ranked, validate, space, num_evaluations=search.num_evaluations, seed=seed
    )


def candidate_genotypes(
    architecture_logits: ArchitectureLogits, space: SearchSpace, *, num_drawn: int, seed: int
) -> list[Genotype]:
    """The likeliest architecture and some drawn ones, none of them blind to order.

    Args:
      architecture_logits: of operations and depths.
      space: the students.
      num_drawn: how many beside the likeliest one.
      seed: of the draws.

    Returns:
      One or more distinct genotypes, the likeliest first unless it is blind to order.
    """
    generator = np.random.default_rng(seed)
    found: dict[Genotype, None] = {}  # a set that keeps its order
    noisy = architecture_logits
    for _ in range(1 + max(_MAX_DRAWS, _DRAWS_PER_CANDIDATE * num_drawn)):
        genotype = likeliest_genotype(noisy, space)
        if not genotype.is_degenerate:
            found[genotype] = None
        if len(found) > num_drawn:
            break
        noisy = add_noise(architecture_logits, generator)
    return list(found) or [_likeliest_within(architecture_logits, space)]


def _likeliest_within(architecture_logits: ArchitectureLogits, space: SearchSpace) -> Genotype:
    """The likeliest genotype within the budgets that is not blind to order.

    The likeliest of every depth is found. Operations of absent cells are free to be whatever is
    likeliest, so that depths are compared by what their budgets take from their scores.
    """
    student = space.student
    num_edges = len(edge_ends(student.num_nodes))
    found: list[tuple[float, Genotype]] = []
    for num_absent, score in enumerate(architecture_logits.depth):
        within = space.budgets_without(num_absent)
        # One depth is left to the programme, whose error says what is wrong.
        if space.num_optional > 0 and not is_reachable(within):
            continue
        num_cells = student.num_cells - num_absent
        rows = architecture_logits.operations[: num_cells * num_edges]
        operations = likeliest_within(rows, within, num_nodes=student.num_nodes)
        taken = np.sum(rows.max(axis=-1) - rows[np.arange(len(rows)), operations])
        genotype = genotype_of(operations, num_nodes=student.num_nodes, num_cells=num_cells)
        found.append((float(score - taken), genotype))
    return max(found, key=lambda scored: scored[0])[1]
