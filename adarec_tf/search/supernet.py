"""The network that holds every operation on every edge, and computes one of them at a time."""

import keras
import tensorflow as tf

from adarec_tf.config import StudentConfig
from adarec_tf.search.alphas import OPERATIONS, SampledEdges
from adarec_tf.sequence_model import SequenceEmbedding, SequenceOutputs, real_positions
from adarec_tf.students.genotype import edge_ends
from adarec_tf.students.primitives import PRIMITIVES
from adarec_tf.students.student import CellOutput


class MixedOp(keras.layers.Layer):
    """All operations of one edge; only the one asked for runs (the released code runs all ten)."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = [PRIMITIVES[name].build() for name in OPERATIONS]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights of every operation."""
        for operation in self.operations:
            operation.build(input_shape)

    def call(
        self, states: tf.Tensor, mask: tf.Tensor, operation: tf.Tensor, gate: tf.Tensor
    ) -> tf.Tensor:
        """Applies one operation.

        Args:
          states: float32 [B, L, D].
          mask: float32 [B, L, 1].
          operation: int32 scalar, which one.
          gate: float32 scalar, equal to 1; carries the gradient of the choice.

        Returns:
          float32 [B, L, D].
        """
        branches = [lambda layer=layer: layer(states, mask) for layer in self.operations]
        return gate * tf.switch_case(operation, branches)


class SearchCell(keras.layers.Layer):
    """A cell with a `MixedOp` on every edge."""

    def __init__(self, num_nodes: int, dropout: float) -> None:
        super().__init__()
        self.ends = edge_ends(num_nodes)
        self.num_nodes = num_nodes
        self.edges = [MixedOp() for _ in self.ends]
        self.combine = CellOutput(num_nodes, dropout)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights of every edge."""
        for layer in (*self.edges, self.combine):
            layer.build(input_shape)

    def call(
        self, states: tf.Tensor, mask: tf.Tensor, sampled: SampledEdges, training: bool = False
    ) -> tf.Tensor:
        """Maps states [B, L, D] with mask [B, L, 1] through the sampled operations."""
        nodes = [states]
        for target in range(1, self.num_nodes + 1):
            terms = [
                edge(nodes[source], mask, sampled.operations[index], sampled.gates[index])
                for index, (edge, (source, end)) in enumerate(
                    zip(self.edges, self.ends, strict=True)
                )
                if end == target
            ]
            nodes.append(tf.add_n(terms))
        return self.combine(states, nodes[1:], mask, training=training)


class Supernet(keras.Model):
    """Every student of the search space in one set of weights; alphas are kept outside it."""

    def __init__(self, config: StudentConfig, num_items: int, max_length: int) -> None:
        super().__init__()
        self.sequence_embedding = SequenceEmbedding(
            num_items, config.hidden_dim, max_length, dropout=config.dropout
        )
        self.cells = [SearchCell(config.num_nodes, config.dropout) for _ in range(config.num_cells)]
        self.final_norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def call(
        self, item_ids: tf.Tensor, sampled: SampledEdges, training: bool = False
    ) -> SequenceOutputs:
        """Maps int [B, L] ids to the outputs of the sampled student; see `SequenceOutputs`."""
        mask = real_positions(item_ids)
        states = embedding = self.sequence_embedding(item_ids, training=training)
        hidden_states = []
        for cell in self.cells:
            states = cell(states, mask, sampled, training=training)
            hidden_states.append(states)
        return SequenceOutputs(embedding, tuple(hidden_states), self.final_norm(states) * mask)
