"""The item table in half bytes."""

import tensorflow as tf

from adarec_tf.item_tables.int8 import A_ROW, Int8Table, row_chunks
from adarec_tf.item_tables.table import TableReader
from adarec_tf.quantisation import quantise

_HALF_BYTE = 4  # bits


class Int4Table(Int8Table):
    """Integers within ±7 and a scale a row, two integers a byte; trained as `Int8Table` is.

    Of equal bytes, twice the width: where it is the rank of the scores that a table lacks, that is
    worth more than finer steps.
    """

    largest_step = 7

    @property
    def served_bytes(self) -> int:
        """Size of what serving reads of it, in bytes."""
        return self.size.num_rows * (self.size.hidden_dim // 2 + 4)

    def served(self) -> TableReader:
        """The integers and the scales, as variables of their own."""
        return _ServedInt4(self)


class _ServedInt4:
    """Bytes that hold the integers of the first half of a row below those of the second."""

    def __init__(self, table: Int4Table) -> None:
        self._size = table.size
        steps, scales = quantise(tf.convert_to_tensor(table.variable), A_ROW, table.largest_step)
        first, second = tf.split(tf.cast(steps, tf.int8), 2, axis=1)
        low_bits = tf.bitwise.bitwise_and(first, tf.constant(2**_HALF_BYTE - 1, tf.int8))
        packed = tf.bitwise.bitwise_or(low_bits, tf.bitwise.left_shift(second, _bits()))
        self._packed = tf.Variable(packed, trainable=False, name="item_steps")
        self._scales = tf.Variable(scales, trainable=False, name="item_scales")

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        # Not `tf.gather` of a variable: every read of it would be a copy from then on.
        packed, scales = map(tf.convert_to_tensor, (self._packed, self._scales))
        halves = _unpacked(tf.gather(packed, item_ids))
        return tf.concat(halves, axis=-1) * tf.gather(scales, item_ids)

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        packed = tf.convert_to_tensor(self._packed)
        state_halves = tf.split(states, 2, axis=1)
        products = []
        for rows in row_chunks(packed):
            halves = zip(state_halves, _unpacked(rows), strict=True)
            first, second = (tf.matmul(state, half, transpose_b=True) for state, half in halves)
            products.append(first + second)
        # Scaled afterwards: fewer products than scaling the rows.
        logits = tf.concat(products, axis=1) * tf.transpose(self._scales)
        return tf.slice(logits, [0, 1], [-1, self._size.num_items])


def _unpacked(packed: tf.Tensor) -> list[tf.Tensor]:
    """Both halves of rows int8 [..., D / 2], each float32 [..., D / 2]; shifts keep the sign."""
    first = tf.bitwise.right_shift(tf.bitwise.left_shift(packed, _bits()), _bits())
    return [tf.cast(half, tf.float32) for half in (first, tf.bitwise.right_shift(packed, _bits()))]


def _bits() -> tf.Tensor:
    return tf.constant(_HALF_BYTE, tf.int8)
