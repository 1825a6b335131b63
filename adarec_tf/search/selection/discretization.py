"""The discretization gap: the loss on the way from the alphas to one student."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.space.alphas import ArchitectureLogits, add_noise, derive_genotype


class DiscretizationGap(NamedTuple):
    """One validation metric, on the same users, before and after the choice.

    Attributes:
      relaxed: of what the alphas believe in, with the supernet's weights: the mean over
        architectures drawn from their softmax.
      derived: of the genotype that was chosen, with the supernet's weights.
      inherited: of the stand-alone student of this genotype, with the weights that it inherited. It
        is the network that is exported and trained on: equal to `derived` but for rounding.
    """

    relaxed: float
    derived: float
    inherited: float

    @property
    def gap(self) -> float:
        """What the choice costs; negative if the student is better than what it was drawn from."""
        return self.relaxed - self.inherited


def mean_of_drawn(
    architecture_logits: ArchitectureLogits,
    validate: Callable[[Genotype], float],
    *,
    student: StudentConfig,
    num_drawn: int,
    seed: int,
) -> float:
    """The mean validation metric of architectures drawn from the softmax of the logits.

    Args:
      architecture_logits: of operations and depths.
      validate: the metric of a genotype.
      student: config of the student.
      num_drawn: how many, one or more; blind and repeated ones count, as they do in the search.
      seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    genotypes = [
        derive_genotype(
            add_noise(architecture_logits, generator),
            num_nodes=student.num_nodes,
            num_cells=student.num_cells,
        ).without_dead_edges()
        for _ in range(num_drawn)
    ]
    return float(np.mean([validate(genotype) for genotype in genotypes]))
