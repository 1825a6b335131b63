"""The item table in bytes."""

from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from adarec_tf.models.item_tables.table import ItemTable, TableReader
from adarec_tf.models.quantization import INT8_MAX, fake_quantize, quantize

A_ROW = (-1,)  # axes of what has a scale
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
        return fake_quantize(rows, A_ROW, self.largest_step)

    @property
    def served_bytes(self) -> int:
        """Size of what serving reads of it, in bytes."""
        return self.size.num_rows * (self.size.hidden_dim + 4)

    def served(self) -> TableReader:
        """The integers and the scales, as variables of their own."""
        return _ServedInt8(self)


def scored_in_chunks(packed: tf.Tensor, score: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Scores a table that is unpacked for it, in parts that stay in the cache meanwhile.

    Args:
      packed: [num_rows, ...].
      score: unpacks rows [n, ...] and scores them, [N, n].

    Returns:
      [N, num_rows].
    """
    num_rows, width = packed.shape
    chunk = max(_MIN_CHUNK_ROWS, -(-num_rows // _MAX_CHUNKS))
    scores: list[tf.Tensor] = []
    for start in range(0, num_rows, chunk):
        rows = tf.slice(packed, [start, 0], [min(chunk, num_rows - start), width])
        num_done = max(0, len(scores) + 1 - _CHUNKS_AT_ONCE)
        # Without it all parts would be unpacked first, the whole table at once.
        with tf.control_dependencies(scores[:num_done][-1:]):
            scores.append(score(rows))
    return tf.concat(scores, axis=1)


class _ServedInt8:
    """Integers of one byte, cast where they are read."""

    def __init__(self, table: Int8Table) -> None:
        self._size = table.size
        steps, scales = quantize(tf.convert_to_tensor(table.variable), A_ROW)
        self._steps = tf.Variable(tf.cast(steps, tf.int8), trainable=False, name="item_steps")
        self._scales = tf.Variable(scales, trainable=False, name="item_scales")

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        # Not `tf.gather` of a variable: every read of it would be a copy from then on.
        steps, scales = map(tf.convert_to_tensor, (self._steps, self._scales))
        return tf.cast(tf.gather(steps, item_ids), tf.float32) * tf.gather(scales, item_ids)

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        products = scored_in_chunks(
            tf.convert_to_tensor(self._steps),
            lambda rows: tf.matmul(states, tf.cast(rows, tf.float32), transpose_b=True),
        )
        # Scaled afterwards: fewer products than scaling the rows.
        logits = products * tf.transpose(self._scales)
        return tf.slice(logits, [0, 1], [-1, self._size.num_items])
