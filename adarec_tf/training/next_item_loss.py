"""Softmax cross-entropy of an item over the catalog, at the positions that have a label."""

from typing import NamedTuple

import tensorflow as tf

from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.models.sequence_model import SequenceEmbedding

# exp(-85): the least that is a normal number in float32 and in bfloat16.
_SMALLEST_PROBABILITY = 1.2e-37


class LabeledPositions(NamedTuple):
    """The positions of a batch that have a label, flat.

    Attributes:
      indices: int64 [N, 2], row and column in [B, L].
      labels: int64 [N], item ids.
    """

    indices: tf.Tensor
    labels: tf.Tensor


def labeled_positions(labels: tf.Tensor) -> LabeledPositions:
    """Finds the positions whose label is an item.

    Args:
      labels: int64 [B, L], PAD where there is no label.

    Returns:
      Their indices and labels, row by row.
    """
    indices = tf.where(tf.not_equal(labels, PAD))
    return LabeledPositions(indices, tf.gather_nd(labels, indices))


def softmax_loss(
    embedding: SequenceEmbedding,
    states: tf.Tensor,
    labels: tf.Tensor,
    *,
    smoothing: float = 0.0,
    compute_dtype: str = "float32",
) -> tf.Tensor:
    """Mean cross-entropy over labeled positions, without ever holding a gradient of the logits.

    The gradient of the logits is the probabilities less the labels' ones. The ones are added where
    they are few, in states and items, so that the matrix products read the probabilities as they
    are: of 1024 positions and 12,101 items, a third of the time of differentiated logits.

    Args:
      embedding: holds the tied item table.
      states: float32 [N, D], final states at labeled positions only: logits cost most.
      labels: int64 [N], item ids in 1..num_items.
      smoothing: probability given to the whole catalog instead of the label.
      compute_dtype: of logits and probabilities; sums are float32 all the same.

    Returns:
      Scalar float32, in nats; it saturates at 85 where a label has no probability to speak of.
    """

    @tf.custom_gradient
    def loss_of(states: tf.Tensor, items: tf.Tensor):  # type: ignore[no-untyped-def]
        num_positions = tf.cast(tf.shape(states)[0], tf.float32)
        low_states, low_items = tf.cast(states, compute_dtype), tf.cast(items, compute_dtype)
        probabilities = tf.nn.softmax(tf.matmul(low_states, low_items, transpose_b=True))
        label_items = tf.gather(items, labels - 1)
        mean_item = tf.reduce_mean(items, axis=0)
        of_label = tf.cast(tf.gather(probabilities, labels - 1, batch_dims=1), tf.float32)
        # No gradient passes here, so the logarithm of a probability does no harm.
        losses = -tf.math.log(tf.maximum(of_label, _SMALLEST_PROBABILITY))
        if smoothing > 0:
            # From the label's loss to the mean loss of all items.
            losses += smoothing * tf.linalg.matvec(states, -mean_item)
            losses += smoothing * tf.reduce_sum(states * label_items, axis=-1)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            scale = upstream / num_positions
            expected_items = tf.cast(tf.matmul(probabilities, low_items), tf.float32)
            to_states = expected_items - (1 - smoothing) * label_items
            expected_states = tf.matmul(probabilities, low_states, transpose_a=True)
            to_items = tf.tensor_scatter_nd_sub(
                tf.cast(expected_states, tf.float32),
                (labels - 1)[:, tf.newaxis],
                (1 - smoothing) * states,
            )
            if smoothing > 0:
                to_states -= smoothing * mean_item
                to_items -= smoothing * tf.reduce_sum(states, axis=0) / embedding.num_items
            return scale * to_states, scale * to_items

        return tf.reduce_mean(losses), gradient

    return loss_of(states, embedding.item_vectors())


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of catalog logits.

    Args:
      logits: float32 [N, num_items]; column j is item j + 1.
      labels: int64 [N], item ids in 1..num_items.

    Returns:
      Scalar float32, in nats.
    """
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels - 1, logits=logits)
    )
