"""Self-attention blocks, shared by SASRec (causal) and BERT4Rec (both directions, or causal)."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from adarec_tf.models.sequence_model import (
    MASKED_SCORE,
    SequenceEmbedding,
    SequenceOutputs,
    real_positions,
)


def attention_bias(mask: tf.Tensor, is_causal: bool) -> tf.Tensor:
    """The bias of attention scores that hides padding, and the future if asked.

    Args:
      mask: float32 [B, L, 1], 1 at items and 0 at PAD.
      is_causal: whether a position sees itself and earlier ones only.

    Returns:
      float32 [B, 1, L, L], query by key: 0 where attention is allowed, else `MASKED_SCORE`.
    """
    is_allowed = tf.transpose(mask, [0, 2, 1])
    if is_causal:
        length = tf.shape(mask)[1]
        is_allowed *= tf.linalg.band_part(tf.ones([length, length]), -1, 0)
    return ((1.0 - is_allowed) * MASKED_SCORE)[:, tf.newaxis]


@keras.saving.register_keras_serializable("adarec_tf")
class SelfAttention(keras.layers.Layer):
    """Multi-head attention of a sequence to itself (Vaswani et al., 2017).

    Args:
      num_heads: heads, a divisor of D.
      num_distances: if not 0, each head learns a bias for each of so many distances from a position
        back to what it attends to, 0 the first; the last holds for all that are farther
        (Raffel et al., "T5", 2020).
      **kwargs: of the Keras layer.
    """

    def __init__(self, num_heads: int, num_distances: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.num_distances = num_distances

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates one projection to queries, keys and values, one to the output, and the biases."""
        hidden_dim = int(input_shape[-1] or 0)
        self.head_dim = hidden_dim // self.num_heads
        self.input_projection = keras.layers.Dense(3 * hidden_dim)
        self.output_projection = keras.layers.Dense(hidden_dim)
        self.input_projection.build((None, hidden_dim))
        self.output_projection.build((None, hidden_dim))
        if self.num_distances:
            self.distance_bias = self.add_weight(
                shape=(self.num_heads, self.num_distances),
                initializer="zeros",
                name="distance_bias",
            )

    def call(self, states: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        """Attends.

        Args:
          states: float32 [B, L, D].
          bias: float32 [B, 1, L, L], see `attention_bias`.

        Returns:
          float32 [B, L, D].
        """
        size = tf.shape(states)
        hidden_dim = self.num_heads * self.head_dim
        # Flat products: kept apart by batch, a kernel's gradient is B kernels large before its sum.
        projected = self.input_projection(tf.reshape(states, [-1, hidden_dim]))
        heads = tf.reshape(projected, [size[0], size[1], 3 * self.num_heads, self.head_dim])
        # [B, 3 H, L, D / H]
        queries, keys, values = tf.split(tf.transpose(heads, [0, 2, 1, 3]), 3, axis=1)
        scores = tf.matmul(queries * self.head_dim**-0.5, keys, transpose_b=True) + bias
        if self.num_distances:
            places = tf.range(size[1])
            distances = tf.clip_by_value(places[:, tf.newaxis] - places, 0, self.num_distances - 1)
            scores += tf.gather(tf.convert_to_tensor(self.distance_bias), distances, axis=1)
        attended = tf.matmul(tf.nn.softmax(scores), values)
        flat = tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [-1, hidden_dim])
        return tf.reshape(self.output_projection(flat), size)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "num_distances": self.num_distances,
        }


@keras.saving.register_keras_serializable("adarec_tf")
class AttentionBlock(keras.layers.Layer):
    """Attention, then a feed-forward network; each normalized before, and added to its input.

    Normalization comes first, unlike in SASRec's paper (after) and code (of the queries alone): it
    trains at higher rates.

    Args:
      num_heads: heads of the attention, a divisor of D.
      feed_forward_dim: width of the feed-forward network.
      dropout: share of the numbers dropped in training.
      num_distances: of the attention, see `SelfAttention`.
      **kwargs: of the Keras layer.
    """

    def __init__(
        self,
        num_heads: int,
        feed_forward_dim: int,
        dropout: float,
        num_distances: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.feed_forward_dim = feed_forward_dim
        self.dropout_rate = dropout
        self.num_distances = num_distances
        self.attention = SelfAttention(num_heads, num_distances)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-6)
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-6)
        self.dropouts = [keras.layers.Dropout(dropout) for _ in range(2)]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the sublayers for states [B, L, D]."""
        hidden_dim = int(input_shape[-1] or 0)
        for layer in (self.attention, self.attention_norm, self.feed_forward_norm):
            layer.build(input_shape)
        self.feed_forward_in = keras.layers.Dense(self.feed_forward_dim)
        self.feed_forward_out = keras.layers.Dense(hidden_dim)
        self.feed_forward_in.build((None, hidden_dim))
        self.feed_forward_out.build((None, self.feed_forward_dim))

    def call(
        self, states: tf.Tensor, mask: tf.Tensor, bias: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Applies the block; zero at PAD.

        Args:
          states: float32 [B, L, D].
          mask: float32 [B, L, 1], 1 at items and 0 at PAD.
          bias: float32 [B, 1, L, L], see `attention_bias`.
          training: whether dropout is on.
        """
        branch = self.attention(self.attention_norm(states), bias)
        states += self.dropouts[0](branch, training=training)
        flat = tf.reshape(self.feed_forward_norm(states), [-1, states.shape[-1]])
        branch = self.feed_forward_out(tf.nn.relu(self.feed_forward_in(flat)))
        branch = tf.reshape(branch, tf.shape(states))
        return (states + self.dropouts[1](branch, training=training)) * mask

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "feed_forward_dim": self.feed_forward_dim,
            "dropout": self.dropout_rate,
            "num_distances": self.num_distances,
        }


def attention_outputs(
    item_ids: tf.Tensor,
    sequence_embedding: SequenceEmbedding,
    blocks: Sequence[AttentionBlock],
    final_norm: keras.layers.Layer,
    *,
    is_causal: bool,
    training: bool,
) -> SequenceOutputs:
    """Embeds item ids and applies the blocks one after the other.

    Args:
      item_ids: int [B, L], left-padded with 0.
      sequence_embedding: of the model.
      blocks: bottom to top.
      final_norm: of the states of the last block.
      is_causal: whether a position sees itself and earlier ones only.
      training: whether dropout is on.
    """
    mask = real_positions(item_ids)
    bias = attention_bias(mask, is_causal)
    states = embedding = sequence_embedding(item_ids, training=training)
    hidden_states = []
    for block in blocks:
        states = block(states, mask, bias, training=training)
        hidden_states.append(states)
    return SequenceOutputs(embedding, tuple(hidden_states), final_norm(states) * mask)
