"""A student's item table that begins as its teacher's: the part of a student that has most bytes.

Equal inner products are what counts, since they are the scores; so a narrower table is what the
teacher's table is in its directions of most length.
"""

import numpy as np

from adarec_tf.distillation.ensemble import EnsembleEmbedding
from adarec_tf.sequence_model import SequenceEmbedding


def initialise_table(
    student: SequenceEmbedding, teacher: SequenceEmbedding | EnsembleEmbedding
) -> None:
    """Sets a student's table to what the teacher's is in its width and format.

    Rows of PAD and mask, and the columns of a student that is wider, stay what they are.

    Args:
      student: built; its table is changed.
      teacher: of the same items.
    """
    table = np.array(student.item_table.matrix())
    items = principal_columns(np.asarray(teacher.item_vectors()), student.hidden_dim)
    table[1 : student.num_items + 1, : items.shape[1]] = items
    student.item_table.set_table(table)


def principal_columns(items: np.ndarray, num_columns: int) -> np.ndarray:
    """The rows of a table in its directions of most length.

    Args:
      items: float32 [V, D].
      num_columns: how many directions to keep.

    Returns:
      float32 [V, min(num_columns, D)]: the table itself if no more columns are fewer, else its best
      approximation of that rank in a basis of its own, so that inner products stay nearest.
    """
    if num_columns >= items.shape[1]:
        return items
    # Of the small Gram matrix, in float64: its eigenvectors are the table's right singular ones.
    gram = items.T.astype(np.float64) @ items
    _, vectors = np.linalg.eigh(gram)
    return (items @ vectors[:, ::-1][:, :num_columns]).astype(np.float32)
