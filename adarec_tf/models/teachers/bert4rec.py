"""BERT4Rec: self-attention trained on masked items (Sun et al., CIKM 2019).

It has two sides with the same weights. `masked_outputs` sees a history in both directions, is
trained to tell masked items, and predicts the next one at a mask appended to the history. `call`
is causal, as the contract of a sequence model asks: a fine-tuning on next items makes it a teacher
at every position without showing it a label.
"""

from typing import Any

import keras
import tensorflow as tf

from adarec_tf.data.batches import EpochBatches, masked_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.models.next_item_model import NextItemModel, Phase
from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs
from adarec_tf.models.teachers.attention import AttentionBlock, attention_outputs


@keras.saving.register_keras_serializable("adarec_tf")
class BERT4Rec(NextItemModel):
    """Self-attention teacher, trained on masked items.

    Examples:
        >>> model = ar.BERT4Rec.for_dataset(data, hidden_dim=8, num_blocks=1)
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
      mask_probability: of an item of a training history; for its training to read.
      fine_tune_epochs: of next-item training after the masked-item training; likewise.
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
        """Sees what came before each position, as every teacher does.

        Args:
          item_ids: int64 [B, L], left-padded with 0.
          training: whether dropout is on.

        Returns:
          The embedding, the states of each layer and the final ones.
        """
        return self._outputs(item_ids, is_causal=True, training=training)

    def masked_outputs(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Sees both directions; some of the ids are the mask.

        Args:
          item_ids: int64 [B, L], left-padded with 0.
          training: whether dropout is on.

        Returns:
          The embedding, the states of each layer and the final ones.
        """
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

    def phases(self, epochs: int) -> list[Phase]:
        """The parts of a training.

        Args:
          epochs: of the masked-item training.

        Returns:
          Masked items first, then next items.
        """
        phases = [Phase("masked items", MaskedItems(self), epochs)]
        if self.fine_tune_epochs > 0:
            phases.append(Phase("next items", NextItems(self), self.fine_tune_epochs))
        return phases

    def fit(self, x: Any = None, *args: Any, epochs: int = 1, **options: Any) -> Any:
        """Trains on masked items, and then `fine_tune_epochs` on next items.

        Args:
          x: histories, such as `dataset.train`.
          *args: of `NextItemModel.fit`.
          epochs: of the masked-item training.
          **options: of `NextItemModel.fit`, for both.

        Returns:
          Keras' `History` of both, one after the other.
        """
        if not self.compiled:
            self.compile()
        total = keras.callbacks.History()
        total.on_train_begin()
        for phase in self.phases(epochs):
            phase.model.compile_from_config(self.get_compile_config())
            history = phase.model.fit(x, *args, epochs=phase.epochs, **options)
            total.epoch += [len(total.epoch) + number for number in history.epoch]
            for name, values in history.history.items():
                total.history[name] = total.history.get(name, []) + values
        return total


class NextItems(NextItemModel):
    """A BERT4Rec as trained on next items."""

    def __init__(self, model: BERT4Rec) -> None:
        """Args: built; its weights are trained."""
        super().__init__({}, name="next_items")
        self.bert4rec = model
        self.sequence_embedding = model.sequence_embedding
        self._seen = model._seen
        self(tf.zeros([1, 1], tf.int64))

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Maps int [B, L] ids to causal outputs; see `SequenceOutputs`.

        Args:
          item_ids: left-padded with 0.
          training: whether dropout is on.
        """
        return self.bert4rec(item_ids, training=training)


class MaskedItems(NextItems):
    """A BERT4Rec as trained on masked items; evaluated by a mask at the end of each history."""

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Maps int [B, L] ids, some of them the mask, to outputs that see both directions.

        Args:
          item_ids: left-padded with 0.
          training: whether dropout is on.
        """
        return self.bert4rec.masked_outputs(item_ids, training=training)

    def last_states(self, item_ids: tf.Tensor) -> tf.Tensor:
        """States at a mask that takes the place of the oldest item.

        Args:
          item_ids: int [B, L], left-padded with 0.

        Returns:
          float32 [B, D].
        """
        embedding = self.sequence_embedding
        masks = tf.fill([tf.shape(item_ids)[0], 1], tf.constant(embedding.mask_id, tf.int64))
        latest = tf.cast(item_ids, tf.int64)[:, -(embedding.max_length - 1) :]
        return super().last_states(tf.concat([latest, masks], axis=1))

    def _epoch_batches(self, train: Histories, **options: Any) -> EpochBatches:
        return masked_item_batches(
            train,
            mask_id=self.sequence_embedding.mask_id,
            mask_probability=self.bert4rec.mask_probability,
            **options,
        )
