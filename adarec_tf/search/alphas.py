"""Architecture parameters: sampling one operation an edge, and reading the result off.

`alphas` [E, O] are logits over the operations of each edge. Rows are the edges of one cell, and all
cells share them (paper), or those of every cell, one cell after the other.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.search_config import SearchConfig
from adarec_tf.students.genotype import Genotype, edge_ends
from adarec_tf.students.primitives import PRIMITIVES

OPERATIONS = tuple(PRIMITIVES)


class SampledEdges(NamedTuple):
    """One architecture, drawn.

    Attributes:
      operations: int32 [E], the index of the operation on each edge.
      gates: float32 [E], each equal to 1, with the gradient of that operation's probability: the
        straight-through estimator, computed for the drawn operation alone (GDAS, arXiv:1910.04465).
    """

    operations: tf.Tensor
    gates: tf.Tensor


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


def sample_edges(alphas: tf.Tensor, seed: tf.Tensor, gumbel_temperature: float) -> SampledEdges:
    """Draws an operation for each edge from softmax(alphas) by the Gumbel trick.

    Args:
      alphas: float32 [E, O].
      seed: int32 [2]; equal seeds draw equal noise.
      gumbel_temperature: of the relaxation that carries the gradient. The draw does not depend on
        it: what is explored is decided by the scale of the alphas.

    Returns:
      The architecture and its gates.
    """
    uniform = tf.random.stateless_uniform(tf.shape(alphas), seed, minval=1e-9, maxval=1.0)
    noisy = alphas - tf.math.log(-tf.math.log(uniform))
    operations = tf.argmax(noisy, axis=-1, output_type=tf.int32)
    relaxed = tf.nn.softmax(noisy / gumbel_temperature)
    drawn = tf.gather(relaxed, operations, batch_dims=1)
    return SampledEdges(operations, tf.stop_gradient(1.0 - drawn) + drawn)


def believed_edges(
    logits: tf.Tensor, seed: tf.Tensor, search: SearchConfig
) -> SampledEdges | MixedEdges:
    """What a step of the search computes: an architecture drawn, or the mixture of all.

    Args:
      logits: float32 [E, O], the scaled alphas.
      seed: int32 [2], of the draw.
      search: `execution` says which, `gumbel_temperature` belongs to the draw.
    """
    if search.execution == "mixture":
        return MixedEdges(tf.nn.softmax(logits))
    return sample_edges(logits, seed, search.gumbel_temperature)


def fixed_edges(operations: Sequence[int]) -> SampledEdges:
    """A given architecture: int [E] operation indices, without a gradient."""
    indices = tf.constant(list(operations), tf.int32)
    return SampledEdges(indices, tf.ones_like(indices, tf.float32))


def relative_entropy(alphas: np.ndarray) -> float:
    """Mean entropy of the edges' choices, as a share of the uniform choice's: 1 means undecided."""
    shifted = alphas - alphas.max(axis=-1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)
    entropy = -(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=-1)
    return float(entropy.mean() / np.log(alphas.shape[-1]))


def derive_genotype(alphas: np.ndarray, *, num_nodes: int, num_cells: int) -> Genotype:
    """The most likely operation of every edge.

    Args:
      alphas: float32 [E, O].
      num_nodes: intermediate nodes of a cell.
      num_cells: cells; where the rows are those of one cell, all get the same operations.

    Returns:
      The genotype; adding a constant to an edge's alphas does not change it.
    """
    return genotype_of(alphas.argmax(axis=-1), num_nodes=num_nodes, num_cells=num_cells)


def genotype_of(
    operations: Sequence[int] | np.ndarray, *, num_nodes: int, num_cells: int
) -> Genotype:
    """The genotype of given operation indices, int [E]: of one cell for all, or of every cell."""
    names = [OPERATIONS[index] for index in operations]
    num_edges = len(edge_ends(num_nodes))
    cells = [names[start : start + num_edges] for start in range(0, len(names), num_edges)]
    return Genotype.from_primitives(num_nodes, cells * (num_cells // len(cells)))


def operations_of(genotype: Genotype) -> list[int]:
    """The operation indices of every cell, one cell after the other: the inverse."""
    return [OPERATIONS.index(edge.primitive) for cell in genotype.cells for edge in cell]


def draw_operations(alphas: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Int [E], one architecture drawn from softmax(alphas) on the host."""
    return draw_scores(alphas, generator).argmax(axis=-1)


def draw_scores(alphas: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Float [E, O], alphas with Gumbel noise: what is drawn is the largest of each row."""
    return alphas + generator.gumbel(size=alphas.shape)
