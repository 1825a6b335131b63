"""Losses over a sample of the catalog, for catalogs whose full softmax is most of a step.

The negatives are shared by the positions of a batch, so that they cost one matrix product. Which
they are depends on the seed and the step alone: a resumed training draws what an uninterrupted one
would have drawn.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.models.sequence_model import SequenceEmbedding


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

    def draw(self, step: tf.Tensor) -> tf.Tensor:
        """The negatives of a step: int64 [num_negatives], rows of the item vectors."""
        points = tf.random.stateless_uniform(
            [self.num_negatives], seed=tf.stack([tf.cast(self.seed, tf.int64), step])
        )
        rows = tf.searchsorted(self.cumulative, points, side="right", out_type=tf.int64)
        return tf.minimum(rows, tf.shape(self.cumulative, tf.int64)[0] - 1)


def uniform_sampler(num_items: int, num_negatives: int, seed: int) -> NegativeSampler:
    """Every item alike."""
    return _sampler(np.ones(num_items), num_negatives, seed)


def frequency_sampler(
    item_ids: np.ndarray, num_items: int, num_negatives: int, seed: int
) -> NegativeSampler:
    """Items by their frequency to the power of 0.75, one added to each count.

    Args:
      item_ids: int64 [N], the training histories.
      num_items: size of the catalog.
      num_negatives: items drawn for a batch.
      seed: of the draws.

    Reference:
      The exponent is word2vec's: Mikolov et al., arXiv:1310.4546.
    """
    counts = np.bincount(item_ids, minlength=num_items + 1)[1:] + 1.0
    return _sampler(counts**0.75, num_negatives, seed)


def _sampler(weights: np.ndarray, num_negatives: int, seed: int) -> NegativeSampler:
    probability = weights / weights.sum()
    return NegativeSampler(
        tf.constant(np.cumsum(probability), tf.float32),
        tf.constant(probability, tf.float32),
        num_negatives,
        seed,
    )


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
    rows = (labels - 1)[:, tf.newaxis]
    expected_counts = num_negatives * tf.gather(probability, negatives)
    return tf.reduce_mean(
        tf.nn.sampled_softmax_loss(
            weights=embedding.item_vectors(),
            biases=tf.zeros([embedding.num_items]),
            labels=rows,
            inputs=states,
            num_sampled=num_negatives,
            num_classes=embedding.num_items,
            sampled_values=(negatives, tf.ones_like(rows, tf.float32), expected_counts),
        )
    )


def gbce_loss(
    embedding: SequenceEmbedding,
    states: tf.Tensor,
    labels: tf.Tensor,
    negatives: tf.Tensor,
    calibration: float,
) -> tf.Tensor:
    """Generalized binary cross-entropy: the positive's probability to a power below one.

    Of M negatives drawn uniformly from the other items, the sampling rate is r = M / (V - 1), and
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
    items = embedding.item_vectors()
    positive = tf.reduce_sum(states * tf.gather(items, labels - 1), axis=1)
    negative = tf.matmul(states, tf.gather(items, negatives), transpose_b=True)
    is_label = tf.equal((labels - 1)[:, tf.newaxis], negatives)  # such a one counts nothing
    negative_losses = tf.where(is_label, 0.0, tf.nn.softplus(negative))
    return tf.reduce_mean(
        power * tf.nn.softplus(-positive) + tf.reduce_sum(negative_losses, axis=1)
    )
