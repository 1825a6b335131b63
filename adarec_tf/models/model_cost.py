"""What a model costs, counted: parameters, bytes and multiply-adds."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.models.compute_cost import count_macs
from adarec_tf.models.sequence_model import SequenceModel
from adarec_tf.models.students import Student
from adarec_tf.models.students.inference import ServedStudent


class ParameterCount(NamedTuple):
    """The size of a model.

    Attributes:
      total: floats of the model.
      embedding: floats of its item and position tables.
      table_bytes: what serving reads of the item table, in bytes; codes are no floats.
    """

    total: int
    embedding: int
    table_bytes: int


def count_parameters(model: SequenceModel) -> ParameterCount:
    """Counts the floats a model is made of, trainable or not; dropout's seeds are integers."""
    embedding = model.sequence_embedding
    return ParameterCount(
        _num_floats(model.variables),
        _num_floats(embedding.variables),
        embedding.item_table.served_bytes,
    )


def served_bytes(model: SequenceModel) -> int:
    """Size of the weights that serving reads, in bytes; a bundle adds its graph and vocabulary."""
    embedding = model.sequence_embedding
    counts = count_parameters(model)
    num_places = embedding.max_length if embedding.use_positions else 0
    num_floats = counts.total - counts.embedding + num_places * embedding.hidden_dim
    cells = model.cells if isinstance(model, Student) else ()
    operations = [operation for cell in cells for operation in cell.operations]
    num_saved = sum(4 * _num_floats(o.variables) - o.served_bytes for o in operations)
    return 4 * num_floats - num_saved + counts.table_bytes


def encoder_macs(model: SequenceModel, max_length: int) -> int:
    """Multiply-adds of encoding one full history; scoring the catalog is not included.

    Matrix products and convolutions count, as is usual; element-wise work does not.

    Args:
      model: the sequence model.
      max_length: items of the history.
    """

    def encode(item_ids: tf.Tensor) -> tf.Tensor:
        return model(item_ids, training=False).final_states

    return count_macs(encode, [tf.TensorSpec([1, max_length], tf.int64)])


def served_macs(model: SequenceModel, max_length: int) -> int:
    """Multiply-adds of the encoder in one request with a full history, as the bundle computes it.

    A student computes the cone of the last position alone; a bundle of any other model all of them.

    Args:
      model: the sequence model.
      max_length: items of the history.
    """
    if not isinstance(model, Student):
        return encoder_macs(model, max_length)
    encoder = ServedStudent(model, max_length)

    def encode(latest_ids: tf.Tensor) -> tf.Tensor:
        return encoder.last_states(latest_ids, tf.constant([[max_length]], tf.int64))

    return count_macs(encode, [tf.TensorSpec([1, encoder.receptive_field], tf.int64)])


def _num_floats(variables: Sequence[keras.Variable]) -> int:
    return sum(int(np.prod(v.shape, dtype=np.int64)) for v in variables if "float" in v.dtype)
