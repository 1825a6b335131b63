"""A table that is bytes in a bundle and floats in a server.

The bundle keeps integers and scales. Whoever loads it makes float32 rows of them once, by the
initializer that every SavedModel may have: TensorFlow Serving, a session and
`tf.saved_model.load` run it after the variables are read. So a request costs what it costs with a
float32 table, and the rows take four bytes a number of the server's memory, beside the integers.
Unpacking in each request spares that memory, but takes longer than the product with the rows.
"""

import uuid
from collections.abc import Callable

import tensorflow as tf

from adarec_tf.models.item_tables.table import TableSize


class UnpackedTable(tf.Module):
    """Reads float32 rows that are made of integers and scales where a model is loaded.

    Args:
      size: of the table.
      packed: int8 [num_rows, ...], the integers of each row.
      scales: float32 [num_rows, 1].
      unpack: makes of `packed` the integers [num_rows, D], int8: as floats, what comes between
        would take memory that TensorFlow keeps.
    """

    def __init__(
        self,
        size: TableSize,
        packed: tf.Tensor,
        scales: tf.Tensor,
        unpack: Callable[[tf.Tensor], tf.Tensor],
    ) -> None:
        super().__init__()
        self._size = size
        self._packed = tf.Variable(packed, trainable=False, name="item_steps")
        self._scales = tf.Variable(scales, trainable=False, name="item_scales")
        self._floats = _Floats((size.num_rows, size.hidden_dim), self._packed, self._scales, unpack)

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Looks up rows: int [...] to float32 [..., D]."""
        return tf.gather(self._floats.read(), item_ids)

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """Products of states [N, D] with the items' rows: float32 [N, num_items]."""
        size = self._size
        items = tf.slice(self._floats.read(), [1, 0], [size.num_items, size.hidden_dim])
        return tf.matmul(states, items, transpose_b=True)


class _Floats(tf.saved_model.experimental.TrackableResource):
    """A float32 variable that no bundle holds: what makes its value runs on loading."""

    def __init__(
        self,
        shape: tuple[int, int],
        packed: tf.Variable,
        scales: tf.Variable,
        unpack: Callable[[tf.Tensor], tf.Tensor],
    ) -> None:
        super().__init__()
        self._shape = shape
        self._packed, self._scales, self._unpack = packed, scales, unpack
        self._initialize()

    def read(self) -> tf.Tensor:
        value = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=tf.float32)
        value.set_shape(self._shape)
        return value

    # TensorFlow calls the rest.

    def _create_resource(self) -> tf.Tensor:
        # In a bundle a name as a variable has it: each session has its own of that name, and
        # `tf.saved_model.load` appends a number. In this process every table has its own.
        name = f"item_rows_{uuid.uuid4()}" if tf.executing_eagerly() else "item_rows"
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=self._shape, shared_name=name)

    def _initialize(self) -> None:
        rows = tf.cast(self._unpack(tf.convert_to_tensor(self._packed)), tf.float32) * self._scales
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=rows)

    def _destroy_resource(self) -> None:
        tf.raw_ops.DestroyResourceOp(resource=self.resource_handle)
