"""The network that a genotype describes. No architecture parameters live here."""

from typing import Any

import keras
import tensorflow as tf

from adarec_tf.config.student import kernel_format
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.sequence_model import (
    SequenceEmbedding,
    SequenceOutputs,
    ordered_sum,
    real_positions,
)
from adarec_tf.models.students.genotype import Edge, Genotype
from adarec_tf.models.students.norm import ChannelNorm
from adarec_tf.models.students.primitives import NONE, PRIMITIVES


class CellOutput(keras.layers.Layer):
    """What a cell makes of its nodes: layer norm of their weighted sum, ReLU, dropout, residual.

    Args:
      num_nodes: intermediate nodes of the cell.
      dropout: share of the numbers dropped in training.
    """

    def __init__(self, num_nodes: int, dropout: float) -> None:
        super().__init__()
        self.num_nodes = num_nodes
        self.dropout = keras.layers.Dropout(dropout)
        self.norm = ChannelNorm(epsilon=1e-6)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the nodes' mixing weights [num_nodes] and the norm."""
        self.norm.build(input_shape)
        self.node_logits = self.add_weight(
            shape=(self.num_nodes,), initializer="zeros", name="node_logits"
        )

    def call(
        self,
        cell_input: tf.Tensor,
        nodes: list[tf.Tensor],
        mask: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        """Combines the nodes of a cell.

        Args:
          cell_input: float32 [B, L, D].
          nodes: the intermediate ones, each float32 [B, L, D].
          mask: float32 [B, L, 1].
          training: whether dropout is on.

        Returns:
          float32 [B, L, D]; the input where the mask is 0.
        """
        shares = tf.unstack(tf.nn.softmax(tf.convert_to_tensor(self.node_logits)))
        mixed = ordered_sum([share * node for share, node in zip(shares, nodes, strict=True)])
        branch = self.dropout(tf.nn.relu(self.norm(mixed)), training=training)
        return cell_input + branch * mask


class Cell(keras.layers.Layer):
    """A directed acyclic graph of primitives over the nodes of one cell.

    Args:
      edges: of the genotype.
      dropout: share of the numbers dropped in training.
      kernel_format: of the convolutions, `float32` or `int8`.
    """

    def __init__(self, edges: tuple[Edge, ...], dropout: float, kernel_format: str) -> None:
        super().__init__()
        self.edges = [edge for edge in edges if edge.primitive != NONE]
        self.num_nodes = max(edge.target for edge in edges)
        self.operations = [PRIMITIVES[edge.primitive].build(kernel_format) for edge in self.edges]
        self.combine = CellOutput(self.num_nodes, dropout)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights of the operations."""
        for layer in (*self.operations, self.combine):
            layer.build(input_shape)

    def call(self, states: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes the cell.

        Args:
          states: float32 [B, L, D], zero at PAD.
          mask: float32 [B, L, 1].
          training: whether dropout is on.

        Returns:
          float32 [B, L, D].
        """
        nodes = [states]
        for target in range(1, self.num_nodes + 1):
            terms = [
                operation(nodes[edge.source], mask)
                for edge, operation in zip(self.edges, self.operations, strict=True)
                if edge.target == target
            ]
            nodes.append(ordered_sum(terms) if terms else tf.zeros_like(states))
        return self.combine(states, nodes[1:], mask, training=training)


@keras.saving.register_keras_serializable("adarec_tf")
class Student(NextItemModel):
    """Item and place embedding, the genotype's cells, a tied output.

    Examples:
        >>> genotype = ar.Genotype.from_primitives(2, [["conv_3", "skip", "conv_3"]])
        >>> student = ar.Student.for_dataset(data, genotype=genotype, hidden_dim=8)
        >>> student(data.test.item_ids[:4][None]).final_states.shape
        TensorShape([1, 4, 8])

    Args:
      genotype: which operation stands on which edge; a saved model has what its `to_dict` returned.
      num_items: items of the catalog; ids are 1..num_items.
      max_length: items of a history it sees.
      hidden_dim: width of the embeddings and of every cell.
      dropout: share of the numbers dropped in training, in the embedding and in each cell.
      precision: `float32`, `int8` or `int4`, the format of the item table.
      **kwargs: of the Keras model.
    """

    def __init__(
        self,
        *,
        genotype: Genotype | dict[str, Any],
        num_items: int,
        max_length: int,
        hidden_dim: int = 32,
        dropout: float = 0.1,
        precision: str = "float32",
        **kwargs: Any,
    ) -> None:
        genotype = genotype if isinstance(genotype, Genotype) else Genotype.from_dict(genotype)
        arguments = {
            "genotype": genotype.to_dict(),
            "num_items": num_items,
            "max_length": max_length,
            "hidden_dim": hidden_dim,
            "dropout": dropout,
            "precision": precision,
        }
        super().__init__(arguments, **kwargs)
        self.genotype = genotype
        self.sequence_embedding = SequenceEmbedding(
            num_items, hidden_dim, max_length, dropout=dropout, item_table=precision
        )
        kernels = kernel_format(precision)
        self.cells = [Cell(edges, dropout, kernels) for edges in genotype.cells]
        self.final_norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Computes the states of histories.

        Args:
          item_ids: int [B, L].
          training: whether dropout is on.

        Returns:
          The outputs of every cell; see `SequenceOutputs`.
        """
        embedding = self.sequence_embedding(item_ids, training=training)
        return self._outputs(embedding, real_positions(item_ids), training)

    def _outputs(self, embedding: tf.Tensor, mask: tf.Tensor, training: bool) -> SequenceOutputs:
        states, hidden_states = embedding, []
        for cell in self.cells:
            states = cell(states, mask, training=training)
            hidden_states.append(states)
        return SequenceOutputs(embedding, tuple(hidden_states), self.final_norm(states) * mask)

    def last_states(self, item_ids: tf.Tensor) -> tf.Tensor:
        """As its `call` has them, computed at the positions alone that they depend on.

        Args:
          item_ids: int [B, L], left-padded with 0.

        Returns:
          float32 [B, D], final states of the last items.
        """
        item_ids = tf.cast(item_ids, tf.int64)
        in_view = self.genotype.receptive_field
        embedding = self.sequence_embedding(item_ids)[:, -in_view:]
        mask = real_positions(item_ids[:, -in_view:])
        return self._outputs(embedding, mask, training=False).final_states[:, -1]
