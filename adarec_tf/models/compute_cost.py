"""Multiply-adds of a TensorFlow function, counted on its graph by TensorFlow's own profiler."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D"})
# The profiler passes over these in silence.
_UNCOUNTED = frozenset(
    {"Einsum", "If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"}
)
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


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
