"""SASRec: causal self-attention (Kang and McAuley, ICDM 2018)."""

from typing import Any

import keras
import tensorflow as tf

from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs
from adarec_tf.models.teachers.attention import AttentionBlock, attention_outputs


@keras.saving.register_keras_serializable("adarec_tf")
class SASRec(keras.Model):
    """Causal self-attention teacher.

    Args are those of `SASRecConfig`, and the scene's `num_items` and `max_length`.
    """

    def __init__(
        self,
        *,
        num_items: int,
        max_length: int,
        hidden_dim: int,
        num_blocks: int,
        dropout: float,
        num_heads: int = 2,
        feed_forward_dim: int = 512,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._arguments = {
            "num_items": num_items,
            "max_length": max_length,
            "hidden_dim": hidden_dim,
            "num_blocks": num_blocks,
            "num_heads": num_heads,
            "feed_forward_dim": feed_forward_dim,
            "dropout": dropout,
        }
        self.sequence_embedding = SequenceEmbedding(
            num_items, hidden_dim, max_length, use_positions=True, dropout=dropout
        )
        self.blocks = [
            AttentionBlock(num_heads, feed_forward_dim, dropout) for _ in range(num_blocks)
        ]
        self.final_norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Maps int [B, L] ids to the outputs of every layer; see `SequenceOutputs`."""
        return attention_outputs(
            item_ids,
            self.sequence_embedding,
            self.blocks,
            self.final_norm,
            is_causal=True,
            training=training,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self._arguments}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Creates all weights before saved values are loaded into them."""
        del config
        self(tf.zeros([1, 1], tf.int64))
