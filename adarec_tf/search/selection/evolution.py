"""Regularized evolution among genotypes: an ageing population, one mutated edge at a time.

Real et al., arXiv:1802.01548: the best of a few drawn members has a child, and the oldest member
dies, so that a lucky evaluation does not stay for ever. Theirs are 100 members; of a fifth the best
is not forgotten at once either, and a hundred evaluations are enough to improve on it.
"""

from collections import deque
from collections.abc import Callable, Container, Sequence

import numpy as np

from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.space.alphas import OPERATIONS
from adarec_tf.search.space.search_space import SearchSpace

RankedGenotype = tuple[Genotype, float]

_POPULATION_SIZE = 20  # members beyond it die; a smaller first population grows up to it
_TOURNAMENT_SHARE = 0.25  # of the population; theirs is 25 of 100
_DEPTH_SHARE = 0.25  # of the mutations, where there are several depths
_MAX_TRIES = 100  # to find a child that is new, sees order and keeps the budgets


def evolve(
    first: Sequence[RankedGenotype],
    validate: Callable[[Genotype], float],
    space: SearchSpace,
    *,
    num_evaluations: int,
    seed: int,
) -> list[RankedGenotype]:
    """Evolves a population that was evaluated already.

    Args:
      first: the first population, oldest first; one member or more.
      validate: the metric of a genotype, the higher the better.
      space: which all children belong to.
      num_evaluations: how often it is asked.
      seed: of tournaments and mutations.

    Returns:
      The children with their metrics, in the order of their birth; all genotypes, the first ones
      too, are distinct. Fewer than `num_evaluations` where no further child is found.
    """
    generator = np.random.default_rng(seed)
    population = deque(first)
    known = {genotype for genotype, _ in first}
    children: list[RankedGenotype] = []

    def best_drawn() -> Genotype:
        tournament_size = max(2, round(_TOURNAMENT_SHARE * len(population)))
        drawn = generator.integers(0, len(population), tournament_size)
        return max((population[index] for index in drawn), key=lambda member: member[1])[0]

    while len(children) < num_evaluations:
        child = new_child(best_drawn, known, space, generator)
        if child is None:
            break
        known.add(child)
        children.append((child, validate(child)))
        population.append(children[-1])
        if len(population) > _POPULATION_SIZE:
            population.popleft()
    return children


def new_child(
    draw_parent: Callable[[], Genotype],
    known: Container[Genotype],
    space: SearchSpace,
    generator: np.random.Generator,
) -> Genotype | None:
    """A mutated genotype that is new, sees order and keeps the budgets; None if none is found.

    Args:
      draw_parent: asked for each try.
      known: what is not new.
      space: which the child belongs to.
      generator: of the mutations.
    """
    for _ in range(_MAX_TRIES):
        child = mutate(draw_parent(), space, generator)
        if child not in known and not child.is_degenerate and space.allows(child):
            return child
    return None


def mutate(genotype: Genotype, space: SearchSpace, generator: np.random.Generator) -> Genotype:
    """The genotype with another operation on one edge, or of another depth; without dead edges.

    Cells that are added begin as copies of the topmost one.

    Args:
      genotype: the parent.
      space: says whether an edge changes in all cells alike, and which depths there are.
      generator: draws the edge and the operation.

    Returns:
      The child; equal to the parent if nothing reaches the edge.
    """
    cells = [[edge.primitive for edge in cell] for cell in genotype.cells]
    if space.num_optional > 0 and generator.random() < _DEPTH_SHARE:
        depth = generator.choice([depth for depth in space.depths if depth != len(cells)])
        cells = (cells + [cells[-1]] * int(depth))[:depth]
    else:
        changed = cells[0 if space.is_shared else int(generator.integers(len(cells)))]
        edge = int(generator.integers(len(changed)))
        others = [name for name in OPERATIONS if name != changed[edge]]
        changed[edge] = others[int(generator.integers(len(others)))]
        if space.is_shared:
            cells = [changed] * len(cells)
    return Genotype.from_primitives(genotype.num_nodes, cells).without_dead_edges()
