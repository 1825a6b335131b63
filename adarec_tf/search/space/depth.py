"""The depth of students as a dimension of the search.

Cells are left out from the top, so that students of every depth share the weights of the cells that
they have. Rows of alphas are those of one cell, which all cells share, or those of every cell.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


def active_rows(
    num_absent: tf.Tensor, *, num_rows: int, num_cells: int, num_cell_edges: int
) -> tf.Tensor:
    """Which rows of the alphas some architectures have; shared rows are always there.

    Args:
      num_absent: int32 [N], cells that each leaves out.
      num_rows: rows of the alphas.
      num_cells: cells of the supernet.
      num_cell_edges: edges of a cell.

    Returns:
      float32 [N, num_rows], 1 or 0.
    """
    cells = np.arange(num_rows) // num_cell_edges
    return tf.cast(cells < num_cells - num_absent[:, tf.newaxis], tf.float32)


class ExpectedStudent(NamedTuple):
    """What an architecture that is drawn has on average.

    Attributes:
      shares: float32 [E, O], how likely an operation is on an edge; times the share of its cells
        that are there.
      num_absent: scalar float32, cells left out.
    """

    shares: tf.Tensor
    num_absent: tf.Tensor | float = 0.0


def expected_student(
    alphas: tf.Tensor, depth_logits: tf.Tensor, *, num_cells: int, num_cell_edges: int
) -> ExpectedStudent:
    """What to expect of an architecture that is drawn, differentiable in the logits.

    Args:
      alphas: float32 [E, O], logits of the operations.
      depth_logits: float32 [N], logits of the number of absent cells.
      num_cells: cells of the supernet.
      num_cell_edges: edges of a cell.
    """
    probabilities = tf.nn.softmax(depth_logits)
    counts = np.arange(depth_logits.shape[0])
    num_absent = tf.reduce_sum(probabilities * tf.constant(counts, tf.float32))
    if alphas.shape[0] == num_cell_edges:  # of one cell for all
        present = 1.0 - num_absent / num_cells * tf.ones(num_cell_edges)
    else:
        cells = np.arange(num_cells).repeat(num_cell_edges)
        is_there = tf.constant(cells[:, np.newaxis] < num_cells - counts, tf.float32)
        present = tf.linalg.matvec(is_there, probabilities)
    return ExpectedStudent(tf.nn.softmax(alphas) * present[:, tf.newaxis], num_absent)
