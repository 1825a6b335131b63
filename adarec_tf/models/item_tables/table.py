"""What a format of the item table is: the interface, and what all formats share.

A table stands for a float matrix [num_rows, D]: row 0 is PAD, items follow, the last row may be the
mask's. Its variables are made by, and belong to, the layer that holds it.
"""

import abc
from collections.abc import Callable
from typing import NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.item_table import ItemTableConfig


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


class ItemTable(abc.ABC):
    """A table that can be trained.

    Attributes:
      config: its format.
      size: of the matrix it stands for.
    """

    def __init__(self, config: ItemTableConfig, size: TableSize) -> None:
        self.config = config
        self.size = size

    @abc.abstractmethod
    def build(self, add_weight: Callable[..., keras.Variable]) -> None:
        """Creates the variables with a layer's `add_weight`; rows have about unit length."""

    @abc.abstractmethod
    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Looks up rows: int [...] to float32 [..., D]."""

    @abc.abstractmethod
    def matrix(self) -> tf.Tensor:
        """All rows: float32 [num_rows, D]."""

    @abc.abstractmethod
    def set_table(self, table: np.ndarray) -> None:
        """Represents a given table as well as the format can.

        Args:
          table: float [num_rows, D].

        Raises:
          ValueError: the table has another shape.
        """

    @property
    @abc.abstractmethod
    def row_variables(self) -> list[keras.Variable]:
        """The variables with an entry [num_rows, ...] for each row of the matrix."""

    @property
    def shared_variables(self) -> list[keras.Variable]:
        """The variables that all rows share."""
        return []

    def grow_from(self, smaller: "ItemTable") -> None:
        """Takes over a table of the first of these items; the rows of further items stay as made.

        Args:
          smaller: of the same format and width, with a mask's row if this has one.

        Raises:
          ValueError: it has more items, another format or another width.
        """
        size, others = self.size, smaller.size
        is_alike = self.config == smaller.config and size.hidden_dim == others.hidden_dim
        num_special = size.num_rows - size.num_items
        if (
            not is_alike
            or others.num_items > size.num_items
            or others.num_rows - others.num_items != num_special
        ):
            raise ValueError(
                f"A table should grow from one of its format with no more items. Received: "
                f"{smaller.config} {tuple(others)} for {self.config} {tuple(size)}."
            )
        for variable, values in zip(
            self.row_variables, map(np.asarray, smaller.row_variables), strict=True
        ):
            grown = np.array(variable)
            grown[: others.num_items + 1] = values[: others.num_items + 1]
            # The mask's row has moved with the number of items.
            grown[size.num_items + 1 :] = values[others.num_items + 1 :]
            variable.assign(grown)
        for variable, other in zip(self.shared_variables, smaller.shared_variables, strict=True):
            variable.assign(other)

    @property
    @abc.abstractmethod
    def served_bytes(self) -> int:
        """Size of what serving reads of it, in bytes."""

    def items(self) -> tf.Tensor:
        """The items' rows: float32 [num_items, D]."""
        # `tf.slice`, not `matrix[1:]`, whose gradient is slow.
        return tf.slice(self.matrix(), [1, 0], [self.size.num_items, self.size.hidden_dim])

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """Products of states [N, D] with the items' rows: float32 [N, num_items]."""
        return tf.matmul(states, self.items(), transpose_b=True)

    def served(self) -> TableReader:
        """What a served graph reads in its place, with equal values; may create variables."""
        return self

    def _checked(self, table: np.ndarray) -> np.ndarray:
        expected = (self.size.num_rows, self.size.hidden_dim)
        if table.shape != expected:
            raise ValueError(
                f"The table should have the shape {expected}. Received: {table.shape}."
            )
        return np.asarray(table, np.float32)
