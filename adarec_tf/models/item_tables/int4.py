"""The item table in half bytes."""

import tensorflow as tf

from adarec_tf.models.item_tables.int8 import A_ROW, Int8Table, scored_in_chunks
from adarec_tf.models.item_tables.table import TableReader
from adarec_tf.models.quantization import quantize

_SIXTEEN = 16.0


class Int4Table(Int8Table):
    """Integers within ±7 and a scale a row, two integers a byte; trained as `Int8Table` is.

    A row of equal bytes has twice the width, which is worth more than finer steps where the rank of
    the scores is what a table lacks. In a table trained in float32 (see `Int8Table`) 92% of the
    best 100 stay among the best 100, and nearly all of them among the best 200.
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
    """Bytes `first + 16 second` of the integers of a row's first half and of its second.

    As neither is beyond 7, the second is the byte's sixteenth, rounded. Floats do all of it: shifts
    of bytes take many times as long.
    """

    def __init__(self, table: Int4Table) -> None:
        self._size = table.size
        steps, scales = quantize(tf.convert_to_tensor(table.variable), A_ROW, table.largest_step)
        first, second = tf.split(steps, 2, axis=1)
        packed = tf.cast(first + _SIXTEEN * second, tf.int8)
        self._packed = tf.Variable(packed, trainable=False, name="item_steps")
        self._scales = tf.Variable(scales, trainable=False, name="item_scales")

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        # Not `tf.gather` of a variable: every read of it would be a copy from then on.
        packed, scales = map(tf.convert_to_tensor, (self._packed, self._scales))
        both = tf.cast(tf.gather(packed, item_ids), tf.float32)
        second = tf.round(both / _SIXTEEN)
        first = both - _SIXTEEN * second
        return tf.concat([first, second], axis=-1) * tf.gather(scales, item_ids)

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        state_of_both, state_of_second = tf.split(states, 2, axis=1)
        state_of_second -= _SIXTEEN * state_of_both  # spares taking the rows' first halves out

        def score(rows: tf.Tensor) -> tf.Tensor:
            both = tf.cast(rows, tf.float32)
            products = tf.matmul(state_of_both, both, transpose_b=True)
            second = tf.round(both / _SIXTEEN)
            return products + tf.matmul(state_of_second, second, transpose_b=True)

        products = scored_in_chunks(tf.convert_to_tensor(self._packed), score)
        # Scaled afterwards: fewer products than scaling the rows.
        logits = products * tf.transpose(self._scales)
        return tf.slice(logits, [0, 1], [-1, self._size.num_items])
