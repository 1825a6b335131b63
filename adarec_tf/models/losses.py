"""The losses of a teacher: softmax over the catalog, or over a sample of it.

All take the final states of labeled positions alone, [N, D], since the logits cost most of a step.
They are pure functions: which negatives a sampled loss has depends on the seed and the step, so
that a resumed training draws what an uninterrupted one would have drawn.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.models.sequence_model import SequenceEmbedding

# Final states (float32 [N, D]) and labels (int64 [N]) of the step (int64 scalar) to a scalar.
TaskLoss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]

NUM_NEGATIVES = 1024  # of a sampled loss, shared by the positions of a batch
GBCE_CALIBRATION = 0.75
# exp(-85): the least that is a normal number in float32 and in bfloat16.
_SMALLEST_PROBABILITY = 1.2e-37
_NO_CANDIDATE = -1e9


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

    Examples:
        >>> labeled_positions(tf.constant([[0, 5], [2, 3]])).labels.numpy()
        array([5, 2, 3], dtype=int32)
    """
    indices = tf.where(tf.not_equal(labels, PAD))
    return LabeledPositions(indices, tf.gather_nd(labels, indices))


def task_loss(
    kind: str,
    embedding: SequenceEmbedding,
    item_counts: np.ndarray,
    *,
    seed: int,
    compute_dtype: str = "float32",
) -> TaskLoss:
    """Builds the loss that a config names.

    Args:
      kind: `softmax`, `sampled_softmax` or `gbce`.
      embedding: holds the tied item table.
      item_counts: int64 [num_items] of `count_items`, by which the sampled softmax draws.
      seed: of the negatives.
      compute_dtype: of the logits and probabilities of `softmax`.

    Returns:
      A function for use inside a `tf.function`.
    """
    if kind == "softmax":
        return lambda states, labels, step: softmax_loss(
            embedding, states, labels, compute_dtype=compute_dtype
        )
    if kind == "sampled_softmax":
        sampler = NegativeSampler.of(frequency_weights(item_counts), NUM_NEGATIVES, seed)
        return lambda states, labels, step: sampled_softmax_loss(
            embedding, states, labels, sampler.draw(step), sampler.probability
        )
    sampler = NegativeSampler.of(np.ones(embedding.num_items), NUM_NEGATIVES, seed)
    return lambda states, labels, step: gbce_loss(embedding, states, labels, sampler.draw(step))


def softmax_loss(
    embedding: SequenceEmbedding,
    states: tf.Tensor,
    labels: tf.Tensor,
    *,
    compute_dtype: str = "float32",
) -> tf.Tensor:
    """Cross-entropy over the catalog: the mean of -log softmax(E h) at the label.

    The gradient of the logits is the probabilities less the labels' ones, and is never held. The
    ones are added where they are few, in states and items, so that the matrix products read the
    probabilities as they are: with 1024 positions and 12,101 items this takes a third of the time
    of differentiated logits.

    Args:
      embedding: holds the tied item table E.
      states: float32 [N, D], final states h at labeled positions.
      labels: int64 [N], item ids in 1..num_items.
      compute_dtype: of logits and probabilities; sums are float32 all the same.

    Returns:
      Scalar float32, in nats; it saturates at 85 where a label has no probability to speak of.
    """

    @tf.custom_gradient
    def loss_of(states: tf.Tensor, items: tf.Tensor):  # type: ignore[no-untyped-def]
        num_positions = tf.cast(tf.shape(states)[0], tf.float32)
        low_states, low_items = tf.cast(states, compute_dtype), tf.cast(items, compute_dtype)
        probabilities = tf.nn.softmax(tf.matmul(low_states, low_items, transpose_b=True))
        of_label = tf.cast(tf.gather(probabilities, labels - 1, batch_dims=1), tf.float32)
        # No gradient passes here, so the logarithm of a probability does no harm.
        losses = -tf.math.log(tf.maximum(of_label, _SMALLEST_PROBABILITY))

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            scale = upstream / num_positions
            expected_items = tf.cast(tf.matmul(probabilities, low_items), tf.float32)
            to_states = expected_items - tf.gather(items, labels - 1)
            expected_states = tf.matmul(probabilities, low_states, transpose_a=True)
            to_items = tf.tensor_scatter_nd_sub(
                tf.cast(expected_states, tf.float32), (labels - 1)[:, tf.newaxis], states
            )
            return scale * to_states, scale * to_items

        return tf.reduce_mean(losses), gradient

    return loss_of(states, embedding.item_vectors())


class NegativeSampler(NamedTuple):
    """Draws items with replacement.

    Attributes:
      cumulative: float32 [V], cumulative probability of items 1..V.
      probability: float32 [V], of each.
      num_negatives: items drawn for a batch.
      seed: of the draws.
    """

    cumulative: tf.Tensor
    probability: tf.Tensor
    num_negatives: int
    seed: int

    @classmethod
    def of(cls, weights: np.ndarray, num_negatives: int, seed: int) -> "NegativeSampler":
        """A sampler of items 1..V.

        Args:
          weights: float64 [V], in proportion to which items are drawn.
          num_negatives: items drawn for a batch.
          seed: of the draws.
        """
        probability = weights / weights.sum()
        return cls(
            tf.constant(np.cumsum(probability), tf.float32),
            tf.constant(probability, tf.float32),
            num_negatives,
            seed,
        )

    def draw(self, step: tf.Tensor) -> tf.Tensor:
        """The negatives of a step: int64 [num_negatives], rows of the item vectors."""
        points = tf.random.stateless_uniform(
            [self.num_negatives], seed=tf.stack([tf.cast(self.seed, tf.int64), step])
        )
        rows = tf.searchsorted(self.cumulative, points, side="right", out_type=tf.int64)
        return tf.minimum(rows, tf.shape(self.cumulative, tf.int64)[0] - 1)


def count_items(
    item_ids: np.ndarray, num_items: int, strategy: tf.distribute.Strategy
) -> np.ndarray:
    """How often each item occurs; each replica of the strategy reads its part of the histories.

    Args:
      item_ids: int64 [N], the training histories.
      num_items: size of the catalog.
      strategy: whose replicas add up what they have counted.

    Returns:
      int64 [num_items], item 1 first.

    Examples:
        >>> count_items(np.array([1, 3, 3]), 3, tf.distribute.get_strategy())
        array([1, 0, 2])
    """
    num_replicas = strategy.num_replicas_in_sync

    def count(part: np.ndarray) -> np.ndarray:
        return np.bincount(part, minlength=num_items + 1)[1:]

    if num_replicas == 1:
        return count(item_ids)
    parts = np.array_split(item_ids, num_replicas)
    counts = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(count(parts[context.replica_id_in_sync_group]))
    )
    return strategy.reduce(tf.distribute.ReduceOp.SUM, counts, axis=None).numpy()


def frequency_weights(item_counts: np.ndarray) -> np.ndarray:
    """Frequencies of items to the power of 0.75, one added to each count.

    Args:
      item_counts: int64 [num_items].

    Returns:
      float64 [num_items].

    Reference:
      The exponent is word2vec's: Mikolov et al., arXiv:1310.4546.

    Examples:
        >>> frequency_weights(np.array([3, 0])).round(2)
        array([2.83, 1.  ])
    """
    return (item_counts + 1.0) ** 0.75


def sampled_softmax_loss(
    embedding: SequenceEmbedding,
    states: tf.Tensor,
    labels: tf.Tensor,
    negatives: tf.Tensor,
    probability: tf.Tensor,
) -> tf.Tensor:
    """Cross-entropy of a label among itself and the negatives, corrected for how these were drawn.

    The logarithm of a negative's expected count is taken from its logit (logQ), so that the loss
    is on its way to that of the full softmax as negatives grow in number. The label's logit stays
    as it is: it is among the candidates always, and a draw of it is no candidate.

    Args:
      embedding: holds the tied item table.
      states: float32 [N, D], final states at labeled positions.
      labels: int64 [N], item ids in 1..num_items.
      negatives: int64 [M], rows of the item vectors.
      probability: float32 [V], with which each row is drawn.

    Returns:
      Scalar float32, mean over positions, in nats.

    Reference:
      Bengio and Senécal, 2008; the label's part: Khrylchenko et al., arXiv:2507.09331.
    """
    num_negatives = int(negatives.shape[0])
    expected_counts = num_negatives * tf.gather(probability, negatives)
    # Rows are looked up: the gradient of the table is one of these rows alone.
    of_label = tf.reduce_sum(states * embedding.item_rows(labels), axis=1, keepdims=True)
    of_negatives = tf.matmul(states, embedding.item_rows(negatives + 1), transpose_b=True)
    is_label = tf.equal(labels[:, tf.newaxis], negatives + 1)
    of_negatives = tf.where(is_label, _NO_CANDIDATE, of_negatives - tf.math.log(expected_counts))
    logits = tf.concat([of_label, of_negatives], axis=1)
    return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=1) - logits[:, 0])


def gbce_loss(
    embedding: SequenceEmbedding,
    states: tf.Tensor,
    labels: tf.Tensor,
    negatives: tf.Tensor,
    calibration: float = GBCE_CALIBRATION,
) -> tf.Tensor:
    """Generalized binary cross-entropy: the positive's probability to a power below one.

    With M negatives drawn uniformly from the other items, the sampling rate is r = M / (V - 1), and
    the power r (t (1 - 1 / r) + 1 / r): plain BCE at t = 0, and probabilities as a softmax has them
    at t = 1.

    Args:
      embedding: holds the tied item table.
      states: float32 [N, D], final states at labeled positions.
      labels: int64 [N], item ids in 1..num_items.
      negatives: int64 [M], rows of the item vectors, drawn uniformly.
      calibration: t, in 0..1.

    Returns:
      Scalar float32, mean over positions of the sum over positive and negatives, in nats.

    Reference:
      Petrov and Macdonald, "gSASRec", RecSys 2023, Eq. (14) and (22).
    """
    rate = tf.minimum(tf.cast(tf.shape(negatives)[0], tf.float32) / (embedding.num_items - 1), 1.0)
    power = rate * (calibration * (1.0 - 1.0 / rate) + 1.0 / rate)
    positive = tf.reduce_sum(states * embedding.item_rows(labels), axis=1)
    negative = tf.matmul(states, embedding.item_rows(negatives + 1), transpose_b=True)
    is_label = tf.equal((labels - 1)[:, tf.newaxis], negatives)  # such a one counts nothing
    negative_losses = tf.where(is_label, 0.0, tf.nn.softplus(negative))
    return tf.reduce_mean(
        power * tf.nn.softplus(-positive) + tf.reduce_sum(negative_losses, axis=1)
    )
