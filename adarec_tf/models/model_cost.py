"""What a model costs, counted: parameters, bytes and multiply-adds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from adarec_tf.models.sequence_model import SequenceModel
from adarec_tf.models.students import Student
from adarec_tf.models.students.inference import ServedStudent

_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D"})
# The profiler passes over these in silence.
_UNCOUNTED = frozenset(
    {"Einsum", "If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"}
)
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


class ParameterCount(NamedTuple):
    """The size of a model.

    Attributes:
      total: floats of the model.
      embedding: floats of its item and position tables.
      table_bytes: what a bundle keeps of the item table, in bytes; codes are no floats.
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
    """Size of the weights in a bundle, in bytes; its graph and its vocabulary are not counted."""
    embedding = model.sequence_embedding
    counts = count_parameters(model)
    num_places = embedding.max_length if embedding.use_positions else 0
    dim, num_floats = embedding.hidden_dim, counts.total - counts.embedding
    place_bytes = num_places * (dim + 4 if embedding.has_rounded_places else 4 * dim)
    cells = model.cells if isinstance(model, Student) else ()
    operations = [operation for cell in cells for operation in cell.operations]
    num_saved = sum(4 * _num_floats(o.variables) - o.served_bytes for o in operations)
    return 4 * num_floats - num_saved + place_bytes + counts.table_bytes


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


def count_macs(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> int:
    """Counts the multiply-adds of matrix products and convolutions; element-wise work is left out.

    Args:
      function: what to count.
      signature: its inputs, with fully known shapes: the profiler multiplies sizes.

    Returns:
      Multiply-adds of one call (half of its floating-point operations).

    Raises:
      ValueError: the graph branches, loops, has an Einsum or a product of unknown size, all of
        which the profiler would leave out.
    """
    traced = tf.function(function).get_concrete_function(*signature)
    if any(operation.type in _CALLS for operation in traced.graph.get_operations()):
        # Puts functions where they are called, besides.
        traced = convert_variables_to_constants_v2(traced)
    graph = traced.graph
    for operation in graph.get_operations():
        _check_countable(operation)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    root = tf.compat.v1.profiler.profile(graph, options=options)
    names = {node.name for node in graph.get_operations() if node.type in _PRODUCTS}
    return sum(node.float_ops for node in _walk(root) if node.name in names) // 2


def _check_countable(operation: tf.Operation) -> None:
    tensors = (*operation.inputs, *operation.outputs)
    is_sized = all(tensor.shape.is_fully_defined() for tensor in tensors)
    if operation.type in _UNCOUNTED or (operation.type in _PRODUCTS and not is_sized):
        raise ValueError(
            "Multiply-adds should be in products of static shape, outside of branches and loops. "
            f"Received: {operation.type} {operation.name!r} of "
            f"{[str(tensor.shape) for tensor in tensors]}."
        )


def _walk(node: Any) -> list[Any]:
    return [node, *(below for child in node.children for below in _walk(child))]
