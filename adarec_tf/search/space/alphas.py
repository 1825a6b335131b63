"""Architecture parameters: sampling one operation an edge, and reading the result off.

`alphas` [E, O] are logits over the operations of each edge. Rows are the edges of one cell, and all
cells share them (paper), or those of every cell, one cell after the other. Where the depth is
searched, the number of topmost cells that are left out has logits of its own (see `depth`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.config.search import SearchConfig
from adarec_tf.models.students.genotype import Genotype, edge_ends
from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.search.space.depth import draw_num_absent

OPERATIONS = tuple(PRIMITIVES)


class Logits(NamedTuple):
    """What the search believes in: an architecture is drawn from the softmax of each row.

    Attributes:
      operations: float32 [E, O], the scaled alphas.
      depth_logits: float32 [N], of leaving out none, one, ..., N - 1 of the topmost cells; a
        single one where the depth is not searched.
    """

    operations: tf.Tensor
    depth_logits: tf.Tensor = np.zeros(1, np.float32)


class SampledEdges(NamedTuple):
    """One architecture, drawn.

    Attributes:
      operations: int32 [E], the index of the operation on each edge.
      gates: float32 [E], each equal to 1, with the gradient of that operation's probability: the
        straight-through estimator, computed for the drawn operation alone (GDAS, arXiv:1910.04465).
      num_absent: int32 scalar, how many of the topmost cells are left out.
    """

    operations: tf.Tensor
    gates: tf.Tensor
    num_absent: tf.Tensor = np.zeros([], np.int32)


class MixedEdges(NamedTuple):
    """All architectures at once, as in DARTS.

    Attributes:
      shares: float32 [E, O], what each operation adds to its edge; the rows sum to 1.
    """

    shares: tf.Tensor


def initial_alphas(num_edges: int, seed: int) -> np.ndarray:
    """float32 [E, O], near zero: every operation is as likely, ties are broken by the seed."""
    generator = np.random.default_rng(seed)
    return generator.normal(0.0, 1e-3, (num_edges, len(OPERATIONS))).astype(np.float32)


def alphas_scale(search: SearchConfig, epoch: int) -> float:
    """What the alphas are multiplied by in an epoch, counted from 0: linear after the warm-up."""
    num_moves = search.max_epochs - search.warmup_epochs - 1
    progress = max(0, epoch - search.warmup_epochs) / max(1, num_moves)
    start, end = search.alphas_scale_start, search.alphas_scale_end
    return start + (end - start) * progress


def sample_edges(logits: Logits, seed: tf.Tensor, gumbel_temperature: float) -> SampledEdges:
    """Draws an operation for each edge by the Gumbel trick, and a depth.

    Args:
      logits: of both.
      seed: int32 [2]; equal seeds draw equal noise.
      gumbel_temperature: of the relaxation that carries the gradient. The draw does not depend on
        it: what is explored is decided by the scale of the alphas.

    Returns:
      The architecture and its gates.
    """
    alphas = logits.operations
    uniform = tf.random.stateless_uniform(tf.shape(alphas), seed, minval=1e-9, maxval=1.0)
    noisy = alphas - tf.math.log(-tf.math.log(uniform))
    operations = tf.argmax(noisy, axis=-1, output_type=tf.int32)
    relaxed = tf.nn.softmax(noisy / gumbel_temperature)
    drawn = tf.gather(relaxed, operations, batch_dims=1)
    gates = tf.stop_gradient(1.0 - drawn) + drawn
    return SampledEdges(operations, gates, draw_num_absent(logits.depth_logits, seed))


def sample_architecture(
    logits: Logits, seed: tf.Tensor, search: SearchConfig
) -> SampledEdges | MixedEdges:
    """What a step of the search computes: an architecture drawn, or the mixture of all.

    Args:
      logits: of operations and depths.
      seed: int32 [2], of the draw.
      search: `execution` says which, `gumbel_temperature` belongs to the draw.
    """
    if search.execution == "mixture":
        return MixedEdges(tf.nn.softmax(logits.operations))
    return sample_edges(logits, seed, search.gumbel_temperature)


def fixed_edges(operations: Sequence[int], num_absent: int = 0) -> SampledEdges:
    """A given architecture: int [E] operation indices, without a gradient."""
    indices = tf.constant(list(operations), tf.int32)
    return SampledEdges(indices, tf.ones_like(indices, tf.float32), tf.constant(num_absent))


def edges_of(genotype: Genotype, *, num_cells: int) -> SampledEdges:
    """A genotype in a supernet of `num_cells` cells, of which the topmost may be absent."""
    num_absent = num_cells - len(genotype.cells)
    unused = [0] * (num_absent * len(genotype.cells[0]))
    return fixed_edges(operations_of(genotype) + unused, num_absent)


def relative_entropy(alphas: np.ndarray) -> float:
    """Mean entropy of the edges' choices, as a share of the uniform choice's: 1 means undecided."""
    shifted = alphas - alphas.max(axis=-1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
    entropy = -(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=-1)
    return float(entropy.mean() / np.log(alphas.shape[-1]))


def derive_genotype(logits: Logits, *, num_nodes: int, num_cells: int) -> Genotype:
    """The most likely depth, and the most likely operation of every edge.

    Args:
      logits: of both, with or without noise.
      num_nodes: intermediate nodes of a cell.
      num_cells: the most that a student has; rows of one cell count for all of them.

    Returns:
      The genotype; adding a constant to an edge's alphas does not change it.
    """
    return genotype_of(
        logits.operations.argmax(axis=-1),
        num_nodes=num_nodes,
        num_cells=num_cells - int(logits.depth_logits.argmax()),
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


def draw_scores(logits: Logits, generator: np.random.Generator) -> Logits:
    """The logits with Gumbel noise, on the host: what is drawn is the largest of each row."""
    operations = logits.operations + generator.gumbel(size=logits.operations.shape)
    if len(logits.depth_logits) == 1:
        return Logits(operations, logits.depth_logits)
    return Logits(
        operations, logits.depth_logits + generator.gumbel(size=logits.depth_logits.shape)
    )
