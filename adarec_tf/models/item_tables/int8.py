"""The item table in bytes."""

from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from adarec_tf.models.item_tables.table import ItemTable, TableReader
from adarec_tf.models.quantization import INT8_MAX, fake_quantize, quantize

_A_ROW = (-1,)  # axes of what has a scale
# As floats, rows are four times as many bytes. A few at a time stay in the processor's cache: for
# one state and 26,700 rows of 64 that takes little more than half the time of casting all of them.
_MIN_CHUNK_ROWS = 2048
_MAX_CHUNKS = 32  # a million rows in 128 take half as long again
_CHUNKS_AT_ONCE = 2  # a part is unpacked while another is scored


class Int8Table(ItemTable):
    """Integers of one byte and a scale a row; trained as floats that are rounded when read.

    Serving scores all items with what was validated, the rounded rows times a state in float32. It
    does not score the best again with the floats: those would be four bytes a number beside the
    one, and a model that nobody validated. In a table trained in float32 (a SASRec of 64 on
    Beauty) 99.5% of the best 100 stay among the best 100, and all of them among the best 200.

    Attributes:
      variable: float32 [num_rows, D], not rounded; serving has no part of it.
    """

    largest_step: ClassVar[int] = INT8_MAX

    def _as_read(self, rows: tf.Tensor) -> tf.Tensor:
        """Float rows [..., D], rounded."""
        return fake_quantize(rows, _A_ROW, self.largest_step)

    @property
    def served_bytes(self) -> int:
        """Size of what serving reads of it, in bytes."""
        return self.size.num_rows * (self.size.hidden_dim + 4)

    def served(self) -> TableReader:
        """The integers and the scales, as variables of their own."""
        return _ServedBytes(self)

    def pack(self, steps: tf.Tensor) -> tf.Tensor:
        """Integers [num_rows, D], as floats, to the bytes that stand for them."""
        return steps

    def unpack(self, packed: tf.Tensor) -> tf.Tensor:
        """Bytes, as floats, to integers [..., D]."""
        return packed

    def scorer(self, states: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
        """Gives a function of n rows of bytes, as floats: products with states [N, D], [N, n]."""
        return lambda packed: tf.matmul(states, packed, transpose_b=True)


def _scored_in_chunks(packed: tf.Tensor, score: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Scores bytes [num_rows, ...] in parts that stay in the cache as floats: [N, num_rows]."""
    num_rows, width = packed.shape
    chunk = max(_MIN_CHUNK_ROWS, -(-num_rows // _MAX_CHUNKS))
    scores: list[tf.Tensor] = []
    for start in range(0, num_rows, chunk):
        rows = tf.slice(packed, [start, 0], [min(chunk, num_rows - start), width])
        num_done = max(0, len(scores) + 1 - _CHUNKS_AT_ONCE)
        # Without it all parts would be unpacked first, the whole table at once.
        with tf.control_dependencies(scores[:num_done][-1:]):
            scores.append(score(tf.cast(rows, tf.float32)))
    return tf.concat(scores, axis=1)


class _ServedBytes:
    """Bytes and scales, cast where they are read."""

    def __init__(self, table: Int8Table) -> None:
        self._table = table
        values = tf.convert_to_tensor(table.variable)
        steps, scales = quantize(values, _A_ROW, table.largest_step)
        packed = tf.cast(table.pack(steps), tf.int8)
        self._packed = tf.Variable(packed, trainable=False, name="item_steps")
        self._scales = tf.Variable(scales, trainable=False, name="item_scales")

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        # Not `tf.gather` of a variable: every read of it would be a copy from then on.
        packed, scales = map(tf.convert_to_tensor, (self._packed, self._scales))
        rows = tf.cast(tf.gather(packed, item_ids), tf.float32)
        return self._table.unpack(rows) * tf.gather(scales, item_ids)

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        packed = tf.convert_to_tensor(self._packed)
        # Scaled afterwards: fewer products than scaling the rows.
        logits = _scored_in_chunks(packed, self._table.scorer(states)) * tf.transpose(self._scales)
        return tf.slice(logits, [0, 1], [-1, self._table.size.num_items])
