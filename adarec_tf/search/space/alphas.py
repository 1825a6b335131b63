"""Architecture parameters: sampling one operation an edge, and reading the result off.

`alphas` [E, O] are the architecture logits of the operations of each edge. Rows are the edges of
one cell, and all cells share them (paper), or those of every cell, one cell after the other. Where
the depth is searched, the number of topmost cells that are left out has logits of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.models.students.genotype import Genotype, edge_ends
from adarec_tf.models.students.primitives import PRIMITIVES

OPERATIONS = tuple(PRIMITIVES)


class ArchitectureLogits(NamedTuple):
    """What the search believes in: an architecture is drawn from the softmax of each row.

    Attributes:
      operations: float32 [E, O], the alphas.
      depth: float32 [N], of leaving out none, one, ..., N - 1 of the topmost cells; a single one
        where the depth is not searched.
    """

    operations: tf.Tensor
    depth: tf.Tensor = np.zeros(1, np.float32)


class SampledArchitecture(NamedTuple):
    """One architecture, drawn.

    Attributes:
      operations: int32 [E], the index of the operation on each edge.
      num_absent: int32 scalar, how many of the topmost cells are left out.
    """

    operations: tf.Tensor
    num_absent: tf.Tensor = np.zeros([], np.int32)


def initial_alphas(num_edges: int, seed: int) -> np.ndarray:
    """Alphas near zero: every operation is as likely, and ties are broken by the seed.

    Args:
      num_edges: E, rows.
      seed: of the noise.

    Returns:
      float32 [E, O].
    """
    generator = np.random.default_rng(seed)
    return generator.normal(0.0, 1e-3, (num_edges, len(OPERATIONS))).astype(np.float32)


def sample_architecture(
    architecture_logits: ArchitectureLogits, seed: tf.Tensor
) -> SampledArchitecture:
    """Draws an operation for each edge by the Gumbel trick, and a depth.

    Args:
      architecture_logits: of operations and depths.
      seed: int32 [2]; equal seeds draw equal noise.
    """
    alphas = architecture_logits.operations
    uniform = tf.random.stateless_uniform(tf.shape(alphas), seed, minval=1e-9, maxval=1.0)
    noisy = alphas - tf.math.log(-tf.math.log(uniform))
    operations = tf.argmax(noisy, axis=-1, output_type=tf.int32)
    depth = architecture_logits.depth
    if depth.shape[0] == 1:
        return SampledArchitecture(operations, tf.constant(0))
    own_seed = tf.random.fold_in(seed, 1)
    drawn = tf.random.stateless_categorical(depth[tf.newaxis], 1, own_seed, dtype=tf.int32)
    return SampledArchitecture(operations, drawn[0, 0])


def fixed_architecture(operations: Sequence[int], num_absent: int = 0) -> SampledArchitecture:
    """A given architecture as a tensor.

    Args:
      operations: [E] indices in `OPERATIONS`.
      num_absent: how many of the topmost cells are left out.
    """
    return SampledArchitecture(tf.constant(list(operations), tf.int32), tf.constant(num_absent))


def architecture_of(genotype: Genotype, *, num_cells: int) -> SampledArchitecture:
    """The architecture of a genotype in a supernet.

    Args:
      genotype: of as many cells as the supernet has, or fewer.
      num_cells: of the supernet.
    """
    num_absent = num_cells - len(genotype.cells)
    unused = [0] * (num_absent * len(genotype.cells[0]))
    return fixed_architecture(operations_of(genotype) + unused, num_absent)


def relative_entropy(alphas: np.ndarray) -> float:
    """Mean entropy of the edges' choices, as a share of the uniform choice's: 1 means undecided."""
    shifted = alphas - alphas.max(axis=-1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
    entropy = -(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=-1)
    return float(entropy.mean() / np.log(alphas.shape[-1]))


def derive_genotype(
    architecture_logits: ArchitectureLogits, *, num_nodes: int, num_cells: int
) -> Genotype:
    """The most likely depth, and the most likely operation of every edge.

    Args:
      architecture_logits: of operations and depths, with or without noise.
      num_nodes: intermediate nodes of a cell.
      num_cells: the most that a student has; rows of one cell count for all of them.

    Returns:
      The genotype; adding a constant to an edge's alphas does not change it.
    """
    return genotype_of(
        architecture_logits.operations.argmax(axis=-1),
        num_nodes=num_nodes,
        num_cells=num_cells - int(architecture_logits.depth.argmax()),
    )


def genotype_of(
    operations: Sequence[int] | np.ndarray, *, num_nodes: int, num_cells: int
) -> Genotype:
    """The genotype of given operation indices, int [E].

    Args:
      operations: of one cell for all, or of every cell; those of further cells do not count.
      num_nodes: intermediate nodes of a cell.
      num_cells: cells of the genotype.
    """
    names = [OPERATIONS[index] for index in operations]
    num_edges = len(edge_ends(num_nodes))
    cells = [names[start : start + num_edges] for start in range(0, len(names), num_edges)]
    return Genotype.from_primitives(num_nodes, (cells * num_cells)[:num_cells])


def operations_of(genotype: Genotype) -> list[int]:
    """The operation indices of every cell, one cell after the other: the inverse."""
    return [OPERATIONS.index(edge.primitive) for cell in genotype.cells for edge in cell]


def add_noise(
    architecture_logits: ArchitectureLogits, generator: np.random.Generator
) -> ArchitectureLogits:
    """Adds Gumbel noise, on the host: what is drawn is the largest of each row.

    Args:
      architecture_logits: of operations and depths.
      generator: draws the noise.
    """
    operations, depth = architecture_logits
    noisy = operations + generator.gumbel(size=operations.shape)
    if len(depth) == 1:
        return ArchitectureLogits(noisy, depth)
    return ArchitectureLogits(noisy, depth + generator.gumbel(size=depth.shape))
