"""Softmax cross-entropy of the next item over the catalogue, at the positions that have a label."""

from typing import NamedTuple

import tensorflow as tf

from adarec_tf.sequence_model import PAD, SequenceEmbedding


class LabelledPositions(NamedTuple):
    """The positions of a batch that have a label, flat.

    Attributes:
      indices: int64 [N, 2], row and column in [B, L].
      labels: int64 [N], item ids.
    """

    indices: tf.Tensor
    labels: tf.Tensor


def labelled_positions(labels: tf.Tensor) -> LabelledPositions:
    """Finds the positions whose label is an item.

    Args:
      labels: int64 [B, L], PAD where there is no label.

    Returns:
      Their indices and labels, row by row.
    """
    indices = tf.where(tf.not_equal(labels, PAD))
    return LabelledPositions(indices, tf.gather_nd(labels, indices))


def next_item_loss(
    embedding: SequenceEmbedding, states: tf.Tensor, labels: tf.Tensor, smoothing: float = 0.0
) -> tf.Tensor:
    """Mean cross-entropy over labelled positions.

    Args:
      embedding: holds the tied item table.
      states: float32 [N, D], final states at labelled positions only: logits cost most.
      labels: int64 [N], item ids in 1..num_items.
      smoothing: probability given to the whole catalogue instead of the label.

    Returns:
      Scalar float32, in nats.
    """
    return cross_entropy(embedding.item_logits(states), labels, smoothing)


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
    """Mean cross-entropy of catalogue logits.

    Args:
      logits: float32 [N, num_items]; column j is item j + 1.
      labels: int64 [N], item ids in 1..num_items.
      smoothing: probability given to the whole catalogue instead of the label.

    Returns:
      Scalar float32, in nats.
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels - 1, logits=logits)
    if smoothing > 0:
        uniform = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        losses = (1 - smoothing) * losses + smoothing * uniform
    return tf.reduce_mean(losses)
