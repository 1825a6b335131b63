"""SASRec: causal self-attention (Kang and McAuley, ICDM 2018)."""

from typing import Any

import keras
import tensorflow as tf

from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs
from adarec_tf.models.teachers.attention import AttentionBlock, attention_outputs


@keras.saving.register_keras_serializable("adarec_tf")
class SASRec(NextItemModel):
    """Causal self-attention teacher, which learns a bias for each distance as well.

    The paper's knows positions alone. Normalization comes before each layer, not after it.

    Examples:
        >>> model = ar.SASRec.for_dataset(data, hidden_dim=8, num_blocks=1)
        >>> history = model.fit(data.train, validation_data=data.valid, epochs=1, verbose=0)
        >>> "val_ndcg@10" in history.history
        True

    Args:
      num_items: items of the catalog; ids are 1..num_items.
      max_length: items of a history it sees.
      hidden_dim: width of the embeddings and of every layer, a multiple of `num_heads`.
      num_blocks: blocks, one above the other.
      dropout: share of the numbers dropped in training.
      num_heads: heads of the attention.
      feed_forward_dim: width of the layers inside a block.
      **kwargs: of the Keras model.
    """

    def __init__(
        self,
        *,
        num_items: int,
        max_length: int,
        hidden_dim: int = 128,
        num_blocks: int = 2,
        dropout: float = 0.3,
        num_heads: int = 2,
        feed_forward_dim: int = 256,
        **kwargs: Any,
    ) -> None:
        arguments = {
            "num_items": num_items,
            "max_length": max_length,
            "hidden_dim": hidden_dim,
            "num_blocks": num_blocks,
            "num_heads": num_heads,
            "feed_forward_dim": feed_forward_dim,
            "dropout": dropout,
        }
        super().__init__(arguments, **kwargs)
        self.sequence_embedding = SequenceEmbedding(
            num_items, hidden_dim, max_length, use_positions=True, dropout=dropout
        )
        self.blocks = [
            AttentionBlock(num_heads, feed_forward_dim, dropout, num_distances=max_length)
            for _ in range(num_blocks)
        ]
        self.final_norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Computes all layers.

        Args:
          item_ids: int64 [B, L], left-padded with 0.
          training: whether dropout is on.

        Returns:
          The embedding, the states of each layer and the final ones.
        """
        return attention_outputs(
            item_ids,
            self.sequence_embedding,
            self.blocks,
            self.final_norm,
            is_causal=True,
            training=training,
        )
