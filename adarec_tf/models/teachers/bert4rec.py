"""BERT4Rec: self-attention trained on masked items (Sun et al., CIKM 2019).

It has two sides with the same weights. `masked_outputs` sees a history in both directions, is
trained to tell masked items, and predicts the next one at a mask appended to the history. `call`
is causal, as the contract of a sequence model asks: a fine-tuning on next items makes it a teacher
at every position without showing it a label.
"""

from typing import Any

import keras
import tensorflow as tf

from adarec_tf.models.sequence_model import SavedModel, SequenceEmbedding, SequenceOutputs
from adarec_tf.models.teachers.attention import AttentionBlock, attention_outputs


@keras.saving.register_keras_serializable("adarec_tf")
class BERT4Rec(SavedModel):
    """Self-attention teacher, trained on masked items.

    Args:
      num_items: items of the catalog; ids are 1..num_items.
      max_length: items of a history it sees.
      hidden_dim: width of the embeddings and of every layer, a multiple of `num_heads`.
      num_blocks: blocks, one above the other.
      dropout: share of the numbers dropped in training.
      num_heads: heads of the attention.
      feed_forward_dim: width of the layers inside a block.
      mask_probability: of an item of a training history; for its training to read.
      fine_tune_epochs: of next-item training after the masked-item training; likewise.
      **kwargs: of the Keras model.
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
        mask_probability: float = 0.2,
        fine_tune_epochs: int = 5,
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
            "mask_probability": mask_probability,
            "fine_tune_epochs": fine_tune_epochs,
        }
        super().__init__(arguments, **kwargs)
        self.mask_probability = mask_probability
        self.fine_tune_epochs = fine_tune_epochs
        self.sequence_embedding = SequenceEmbedding(
            num_items, hidden_dim, max_length, use_positions=True, dropout=dropout, has_mask=True
        )
        self.blocks = [
            AttentionBlock(num_heads, feed_forward_dim, dropout) for _ in range(num_blocks)
        ]
        self.final_norm = keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Maps int [B, L] ids to the outputs of every layer, causally; see `SequenceOutputs`."""
        return self._outputs(item_ids, is_causal=True, training=training)

    def masked_outputs(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Maps int [B, L] ids, some of them the mask, to outputs that see both directions."""
        return self._outputs(item_ids, is_causal=False, training=training)

    def _outputs(self, item_ids: tf.Tensor, is_causal: bool, training: bool) -> SequenceOutputs:
        return attention_outputs(
            item_ids,
            self.sequence_embedding,
            self.blocks,
            self.final_norm,
            is_causal=is_causal,
            training=training,
        )
