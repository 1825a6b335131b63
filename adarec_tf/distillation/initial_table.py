"""A student's item table that begins as its teacher's: the part of a student that has most bytes.

Equal inner products are what counts, since they are the scores; so a narrower table is what the
teacher's table is in its directions of most length.
"""

import numpy as np
import scipy.stats

from adarec_tf.distillation.ensemble import EnsembleEmbedding
from adarec_tf.models.sequence_model import SequenceEmbedding


def initialize_table(
    student: SequenceEmbedding, teacher: SequenceEmbedding | EnsembleEmbedding
) -> None:
    """Sets a student's table to what the teacher's is in its width and format.

    Rows of PAD and mask, and the columns of a student that is wider, stay what they are.

    Args:
      student: built; its table is changed.
      teacher: of the same items.
    """
    table = np.array(student.item_table.matrix())
    items = narrowed_items(np.asarray(teacher.item_vectors()), student.hidden_dim)
    table[1 : student.num_items + 1, : items.shape[1]] = items
    student.item_table.set_table(table)


def narrowed_items(items: np.ndarray, num_columns: int) -> np.ndarray:
    """The rows of a table in its directions of most length, turned so that all are alike.

    Products of rows do not change when all are turned together. In the directions themselves the
    first numbers of a row are much larger than the last, which steps of one size would round to
    nothing (as QuaRot does for activations: Ashkboos et al., arXiv:2404.00456).

    Args:
      items: float32 [V, D].
      num_columns: how many directions to keep.

    Returns:
      float32 [V, min(num_columns, D)]: the table itself if that many are no fewer, else its best
      approximation of that rank in a basis of its own, so that inner products stay nearest.
    """
    if num_columns >= items.shape[1]:
        return items
    # The small Gram matrix in float64: its eigenvectors are the table's right singular ones.
    gram = items.T.astype(np.float64) @ items
    _, vectors = np.linalg.eigh(gram)
    directions = vectors[:, ::-1][:, :num_columns]
    if num_columns > 1:
        directions = directions @ scipy.stats.ortho_group.rvs(num_columns, random_state=0)
    return (items @ directions).astype(np.float32)
