"""Which architectures the alphas propose, which are not worth a look, and which are compared."""

from collections.abc import Callable, Sequence

import numpy as np

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.genotype import Genotype, edge_ends
from adarec_tf.search.cost.budget import Budget, is_reachable
from adarec_tf.search.cost.budget_ilp import likeliest_within
from adarec_tf.search.selection.evolution import RankedGenotype, evolve
from adarec_tf.search.space.alphas import Logits, derive_genotype, draw_scores, genotype_of

_MAX_DRAWS = 200
_DRAWS_PER_CANDIDATE = 4


def likeliest_genotype(
    scores: Logits, student: StudentConfig, budgets: Sequence[Budget] = ()
) -> Genotype:
    """The genotype of the likeliest depth and operations, without dead edges.

    Args:
      scores: logits with or without noise.
      student: config of the student.
      budgets: if the genotype overruns one, the likeliest that keeps all of them takes its place.
    """
    genotype = derive_genotype(scores, num_nodes=student.num_nodes, num_cells=student.num_cells)
    genotype = genotype.without_dead_edges()
    if all(budget.is_kept_by(genotype) for budget in budgets):
        return genotype
    return _likeliest_within(scores, student, budgets)


def ranked_genotypes(
    logits: Logits,
    validate: Callable[[Genotype], float],
    budgets: Sequence[Budget] = (),
    *,
    student: StudentConfig,
    search: SearchConfig,
    seed: int,
) -> list[RankedGenotype]:
    """Validates as many architectures as the search may.

    The first are candidates of the logits: uniform ones where the method does not move alphas. The
    rest of the budget is spent by evolution from them, or by random search on more of their kind.

    Args:
      logits: of operations and depths.
      validate: the metric of a genotype, the higher the better.
      budgets: which all of them keep.
      student: config of the student.
      search: method and budget: `num_candidates` + 1 + `num_evaluations` in every method.
      seed: of what is drawn; equal arguments give equal results.

    Returns:
      Distinct genotypes with their metrics.
    """
    is_random = search.method == "random"
    num_drawn = search.num_candidates + (search.num_evaluations if is_random else 0)
    candidates = candidate_genotypes(logits, student, budgets, num_drawn=num_drawn, seed=seed)
    ranked = [(genotype, validate(genotype)) for genotype in candidates]
    if is_random:
        return ranked
    return ranked + evolve(
        ranked,
        validate,
        budgets,
        num_evaluations=search.num_evaluations,
        is_shared=search.alphas == "shared",
        depths=range(student.num_cells - len(logits.depth_logits) + 1, student.num_cells + 1),
        seed=seed,
    )


def candidate_genotypes(
    logits: Logits,
    student: StudentConfig,
    budgets: Sequence[Budget] = (),
    *,
    num_drawn: int,
    seed: int,
) -> list[Genotype]:
    """The likeliest architecture and some drawn ones, none of them blind to order.

    Args:
      logits: of operations and depths.
      student: config of the student.
      budgets: which all of them keep.
      num_drawn: how many beside the likeliest one.
      seed: of the draws.

    Returns:
      One or more distinct genotypes, the likeliest first unless it is blind to order.
    """
    generator = np.random.default_rng(seed)
    found: dict[Genotype, None] = {}  # a set that keeps its order
    scores = logits
    for _ in range(1 + max(_MAX_DRAWS, _DRAWS_PER_CANDIDATE * num_drawn)):
        genotype = likeliest_genotype(scores, student, budgets)
        if not genotype.is_degenerate:
            found[genotype] = None
        if len(found) > num_drawn:
            break
        scores = draw_scores(logits, generator)
    return list(found) or [_likeliest_within(logits, student, budgets)]


def _likeliest_within(
    scores: Logits, student: StudentConfig, budgets: Sequence[Budget]
) -> Genotype:
    """The likeliest genotype within the budgets that is not blind to order.

    Of every depth the likeliest is found. Operations of absent cells are free to be whatever is
    likeliest, so that depths are compared by what their budgets take from their scores.
    """
    num_edges = len(edge_ends(student.num_nodes))
    found: list[tuple[float, Genotype]] = []
    for num_absent, score in enumerate(scores.depth_logits):
        within = [budget.without_cells(num_absent) for budget in budgets]
        # One depth is left to the programme, whose error says what is wrong.
        if len(scores.depth_logits) > 1 and not is_reachable(within):
            continue
        num_cells = student.num_cells - num_absent
        rows = scores.operations[: num_cells * num_edges]
        operations = likeliest_within(rows, within, num_nodes=student.num_nodes)
        taken = np.sum(rows.max(axis=-1) - rows[np.arange(len(rows)), operations])
        genotype = genotype_of(operations, num_nodes=student.num_nodes, num_cells=num_cells)
        found.append((float(score - taken), genotype))
    return max(found, key=lambda scored: scored[0])[1]
