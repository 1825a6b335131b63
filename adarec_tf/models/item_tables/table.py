"""The item table in float32, and what its other formats share with it.

A table stands for a matrix [num_rows, D]: row 0 is PAD, items follow, the last row may be the
mask's. It is trained as one float32 variable, which the layer that holds the table makes and owns.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf


class TableSize(NamedTuple):
    """The matrix a table stands for: [num_rows, hidden_dim], with items in rows 1..num_items."""

    num_items: int
    num_rows: int
    hidden_dim: int


class TableReader(Protocol):
    """What a model's graph reads of a table."""

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Looks up rows: int [...] to float32 [..., D]."""

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """Products of states [N, D] with the items' rows: float32 [N, num_items]."""


class ItemTable:
    """A table that is trained and served in float32; a subclass is read in another format.

    Attributes:
      size: of the matrix it stands for.
      variable: float32 [num_rows, D].
    """

    def __init__(self, size: TableSize) -> None:
        self.size = size

    def build(self, add_weight: Callable[..., keras.Variable]) -> None:
        """Creates the variable with a layer's `add_weight`; rows have about unit length."""
        self.variable = add_weight(
            shape=(self.size.num_rows, self.size.hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.size.hidden_dim**-0.5),
            name="item_table",
        )

    def _as_read(self, rows: tf.Tensor) -> tf.Tensor:
        """Float rows [..., D] as the format keeps them."""
        return rows

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Looks up rows: int [...] to float32 [..., D]."""
        # Of the variable, not of its value: once rows are updated, reading a value copies it.
        return self._as_read(tf.gather(self.variable.value, item_ids))

    def matrix(self) -> tf.Tensor:
        """All rows: float32 [num_rows, D]."""
        return self._as_read(tf.convert_to_tensor(self.variable))

    def items(self) -> tf.Tensor:
        """The items' rows: float32 [num_items, D]."""
        # `tf.slice`, not `matrix[1:]`, whose gradient is slow.
        return tf.slice(self.matrix(), [1, 0], [self.size.num_items, self.size.hidden_dim])

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """Products of states [N, D] with the items' rows: float32 [N, num_items]."""
        return tf.matmul(states, self.items(), transpose_b=True)

    def set_table(self, table: np.ndarray) -> None:
        """Takes a table.

        Args:
          table: float [num_rows, D].

        Raises:
          ValueError: the table has another shape.
        """
        expected = (self.size.num_rows, self.size.hidden_dim)
        if table.shape != expected:
            raise ValueError(
                f"The table should have the shape {expected}. Received: {table.shape}."
            )
        self.variable.assign(np.asarray(table, np.float32))

    def grow_from(self, smaller: "ItemTable") -> None:
        """Takes over a table of the first of these items; the rows of further items stay as made.

        Args:
          smaller: of the same format and width, with a mask's row if this has one.

        Raises:
          ValueError: it has more items, another format or another width.
        """
        size, others = self.size, smaller.size
        num_special = size.num_rows - size.num_items
        if (
            type(self) is not type(smaller)
            or size.hidden_dim != others.hidden_dim
            or others.num_items > size.num_items
            or others.num_rows - others.num_items != num_special
        ):
            raise ValueError(
                "A table should grow from one of its format with no more items. Received: "
                f"{type(smaller).__name__} {tuple(others)} for {type(self).__name__} {tuple(size)}."
            )
        values, grown = np.array(smaller.variable), np.array(self.variable)
        grown[: others.num_items + 1] = values[: others.num_items + 1]
        # The mask's row has moved with the number of items.
        grown[size.num_items + 1 :] = values[others.num_items + 1 :]
        self.variable.assign(grown)

    @property
    def served_bytes(self) -> int:
        """Size of what a bundle keeps of it, in bytes."""
        return 4 * self.size.num_rows * self.size.hidden_dim

    def served(self) -> TableReader:
        """What a served graph reads in its place, with equal values; may create variables."""
        return self
