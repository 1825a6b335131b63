"""The item table as it is computed with."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.models.item_tables.table import ItemTable


class Float32Table(ItemTable):
    """The matrix itself.

    Attributes:
      variable: float32 [num_rows, D].
    """

    def build(self, add_weight: Callable[..., keras.Variable]) -> None:
        """Creates the matrix."""
        self.variable = add_weight(
            shape=(self.size.num_rows, self.size.hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.size.hidden_dim**-0.5),
            name="item_table",
        )

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Looks up rows: int [...] to float32 [..., D]."""
        return tf.gather(tf.convert_to_tensor(self.variable), item_ids)

    def matrix(self) -> tf.Tensor:
        """All rows: float32 [num_rows, D]."""
        return tf.convert_to_tensor(self.variable)

    def set_table(self, table: np.ndarray) -> None:
        """Takes the table as it is."""
        self.variable.assign(self._checked(table))

    @property
    def row_variables(self) -> list[keras.Variable]:
        """The matrix."""
        return [self.variable]

    @property
    def served_bytes(self) -> int:
        """Size of what serving reads of it, in bytes."""
        return 4 * self.size.num_rows * self.size.hidden_dim
