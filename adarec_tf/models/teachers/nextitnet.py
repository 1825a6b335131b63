"""NextItNet: residual blocks of dilated causal convolutions (Yuan et al., WSDM 2019)."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.sequence_model import (
    CausalConv1D,
    SequenceEmbedding,
    SequenceOutputs,
    real_positions,
)


@keras.saving.register_keras_serializable("adarec_tf")
class NextItNetBlock(keras.layers.Layer):
    """Per dilation: convolution, layer norm, ReLU, dropout; then a scaled residual.

    The scale starts at zero (ReZero, arXiv:2003.04887), as in the paper's released teacher: a deep
    stack begins as the identity.

    Args:
      kernel_size: positions that a convolution reads.
      dilations: distances of these positions, for each convolution.
      dropout: share of the numbers dropped in training.
      **kwargs: of the Keras layer.
    """

    def __init__(
        self, kernel_size: int, dilations: Sequence[int], dropout: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.dilations = tuple(dilations)
        self.dropout_rate = dropout
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-6) for _ in self.dilations]
        self.dropouts = [keras.layers.Dropout(dropout) for _ in self.dilations]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the convolutions [kernel_size, D, D] and the residual scale."""
        hidden_dim = int(input_shape[-1] or 0)
        self.convolutions = [
            CausalConv1D(hidden_dim, self.kernel_size, dilation) for dilation in self.dilations
        ]
        for layer in (*self.convolutions, *self.norms):
            layer.build(input_shape)
        self.residual_scale = self.add_weight(shape=(), initializer="zeros", name="residual_scale")

    def call(self, states: tf.Tensor, mask: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Applies the block; zero at PAD.

        Args:
          states: float32 [B, L, D].
          mask: float32 [B, L, 1], 1 at items and 0 at PAD.
          training: whether dropout is on.
        """
        branch = states
        for convolution, norm, dropout in zip(
            self.convolutions, self.norms, self.dropouts, strict=True
        ):
            branch = tf.nn.relu(norm(convolution(branch)))
            branch = dropout(branch, training=training) * mask
        return states + tf.convert_to_tensor(self.residual_scale) * branch

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "dilations": self.dilations,
            "dropout": self.dropout_rate,
        }


@keras.saving.register_keras_serializable("adarec_tf")
class NextItNet(NextItemModel):
    """Causal convolutional teacher.

    Examples:
        >>> model = ar.NextItNet.for_dataset(data, hidden_dim=8, num_blocks=1)
        >>> history = model.fit(data.train, validation_data=data.valid, epochs=1, verbose=0)
        >>> "val_ndcg@10" in history.history
        True

    Args:
      num_items: items of the catalog; ids are 1..num_items.
      max_length: items of a history it sees.
      hidden_dim: width of the embeddings and of every layer.
      num_blocks: residual blocks, one above the other.
      dropout: share of the numbers dropped in training.
      kernel_size: positions that a convolution reads.
      dilations: distances of these positions, for each convolution of a block; every block has the
        same, as in the released teacher.
      **kwargs: of the Keras model.
    """

    def __init__(
        self,
        *,
        num_items: int,
        max_length: int,
        hidden_dim: int = 128,
        num_blocks: int = 4,
        dropout: float = 0.3,
        kernel_size: int = 3,
        dilations: Sequence[int] = (1, 4),
        **kwargs: Any,
    ) -> None:
        arguments = {
            "num_items": num_items,
            "max_length": max_length,
            "hidden_dim": hidden_dim,
            "num_blocks": num_blocks,
            "kernel_size": kernel_size,
            "dilations": tuple(dilations),
            "dropout": dropout,
        }
        super().__init__(arguments, **kwargs)
        self.sequence_embedding = SequenceEmbedding(
            num_items, hidden_dim, max_length, use_positions=False, dropout=dropout
        )
        self.blocks = [NextItNetBlock(kernel_size, dilations, dropout) for _ in range(num_blocks)]
        self.final_norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Computes all layers.

        Args:
          item_ids: int64 [B, L], left-padded with 0.
          training: whether dropout is on.

        Returns:
          The embedding, the states of each layer and the final ones.
        """
        mask = real_positions(item_ids)
        states = embedding = self.sequence_embedding(item_ids, training=training)
        hidden_states = []
        for block in self.blocks:
            states = block(states, mask, training=training)
            hidden_states.append(states)
        return SequenceOutputs(embedding, tuple(hidden_states), self.final_norm(states) * mask)
