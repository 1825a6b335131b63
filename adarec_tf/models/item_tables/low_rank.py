"""The item table as a product of two thin matrices."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.models.item_tables.table import ItemTable


class LowRankTable(ItemTable):
    """A product of two thin matrices.

    Attributes:
      coordinates: float32 [num_rows, rank].
      directions: float32 [rank, D].
    """

    def build(self, add_weight: Callable[..., keras.Variable]) -> None:
        """Creates both factors."""
        rank, hidden_dim = self.config.rank, self.size.hidden_dim
        self.coordinates = add_weight(
            shape=(self.size.num_rows, rank),
            initializer=keras.initializers.RandomNormal(stddev=rank**-0.5),
            name="item_coordinates",
        )
        self.directions = add_weight(
            shape=(rank, hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=hidden_dim**-0.5),
            name="item_directions",
        )

    def rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Looks up rows: int [...] to float32 [..., D]."""
        coordinates = tf.gather(tf.convert_to_tensor(self.coordinates), item_ids)
        # One flat product, unlike `tf.matmul` of [B, L, rank], whose gradient is B matrices.
        return tf.tensordot(coordinates, tf.convert_to_tensor(self.directions), 1)

    def matrix(self) -> tf.Tensor:
        """All rows: float32 [num_rows, D]."""
        return tf.matmul(
            tf.convert_to_tensor(self.coordinates), tf.convert_to_tensor(self.directions)
        )

    def logits(self, states: tf.Tensor) -> tf.Tensor:
        """Products of states [N, D] with the items' rows: float32 [N, num_items]."""
        coordinates = tf.slice(
            tf.convert_to_tensor(self.coordinates),
            [1, 0],
            [self.size.num_items, self.config.rank],
        )
        thin_states = tf.matmul(states, tf.convert_to_tensor(self.directions), transpose_b=True)
        return tf.matmul(thin_states, coordinates, transpose_b=True)

    def set_table(self, table: np.ndarray) -> None:
        """Takes the closest table of this rank: the truncated singular value decomposition."""
        exact = self._checked(table).astype(np.float64)
        # The right singular vectors; ascending, so the last ones matter most.
        _, vectors = np.linalg.eigh(exact.T @ exact)
        directions = vectors[:, -self.config.rank :]
        self.coordinates.assign(exact @ directions)
        self.directions.assign(directions.T)

    @property
    def row_variables(self) -> list[keras.Variable]:
        """The coordinates."""
        return [self.coordinates]

    @property
    def shared_variables(self) -> list[keras.Variable]:
        """The directions."""
        return [self.directions]

    @property
    def served_bytes(self) -> int:
        """Size of what serving reads of it, in bytes."""
        return 4 * self.config.rank * (self.size.num_rows + self.size.hidden_dim)
