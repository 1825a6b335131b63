"""Task and logits loss over items that stand for the catalog: for large ones, and fast searches.

Of each position its label and its teacher's best items count as they are. All others are sampled:
the catalog, in its order of popularity, is cut into strata, narrow ones first, and one item of
each stands for the rest of its stratum. The normalizer of a softmax is then estimated without bias,
and exact where every stratum is one item.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.distillation.losses import LogitsLosses
from adarec_tf.models.sequence_model import MASKED_SCORE


class Candidates(NamedTuple):
    """The items that stand for the catalog.

    Attributes:
      own: int64 [N, C], item ids of each position, the label first.
      own_offsets: float32 [N, C], added to their logits: 0, or `MASKED_SCORE` where an item is
        there twice.
      shared: int64 [M], item ids of all positions, one a stratum.
      shared_offsets: float32 [N, M]: the logarithm of how many items each stands for, or
        `MASKED_SCORE` where it is one of the position's own.
    """

    own: tf.Tensor
    own_offsets: tf.Tensor
    shared: tf.Tensor
    shared_offsets: tf.Tensor


class CandidateScores(NamedTuple):
    """One side's scores of the candidates.

    Attributes:
      own: float32 [N, C].
      shared: float32 [N, M].
    """

    own: tf.Tensor
    shared: tf.Tensor


def stratum_starts(num_items: int, num_strata: int) -> np.ndarray:
    """Cuts a catalog, most popular items first, into strata whose sizes grow linearly.

    Args:
      num_items: V.
      num_strata: how many at most; fewer where the first ones would have less than an item.

    Returns:
      int64 [M + 1], rows of the item vectors: where each stratum begins, and V.
    """
    if num_strata >= num_items:
        return np.arange(num_items + 1)
    return np.unique(np.floor(num_items * np.linspace(0.0, 1.0, num_strata + 1) ** 2).astype(int))


def draw_candidates(
    labels: tf.Tensor, top_items: tf.Tensor, starts: np.ndarray, seed: tf.Tensor
) -> Candidates:
    """Draws an item of each stratum, and marks what is there twice.

    Args:
      labels: int64 [N], item ids.
      top_items: int [N, K], ids of the teacher's best items, each once.
      starts: from `stratum_starts`.
      seed: int [2]; equal ones draw equal items.
    """
    num_strata = len(starts) - 1
    sizes = np.diff(starts)
    shares = tf.random.stateless_uniform([num_strata], seed)
    # A share close to 1 may be rounded up to the next stratum.
    inside = tf.minimum(tf.cast(shares * sizes.astype(np.float32), tf.int64), sizes - 1)
    shared = 1 + starts[:-1] + inside
    labels = labels[:, tf.newaxis]
    top_items = tf.cast(top_items, tf.int64)
    is_label = tf.pad(tf.equal(top_items, labels), [[0, 0], [1, 0]])
    own = tf.concat([labels, top_items], axis=1)
    strata = tf.searchsorted(tf.constant(starts), tf.reshape(own - 1, [-1]), side="right") - 1
    strata = tf.reshape(strata, tf.shape(own))
    is_drawn = tf.equal(tf.gather(shared, strata), own) & ~is_label
    where = tf.where(is_drawn)
    places = tf.stack([where[:, 0], tf.cast(tf.gather_nd(strata, where), tf.int64)], axis=1)
    logs = tf.broadcast_to(np.log(sizes).astype(np.float32), [tf.shape(own)[0], num_strata])
    masked = tf.fill(tf.shape(places)[:1], MASKED_SCORE)
    return Candidates(
        own,
        tf.where(is_label, MASKED_SCORE, 0.0),
        shared,
        tf.tensor_scatter_nd_update(logs, places, masked),
    )


def candidate_scores(
    states: tf.Tensor, own_rows: tf.Tensor, shared_rows: tf.Tensor
) -> CandidateScores:
    """Scores of states for rows of their own and rows of all.

    Args:
      states: float32 [N, D].
      own_rows: float32 [N, C, D], rows of the item table for each state.
      shared_rows: float32 [M, D], rows that all states have.
    """
    return CandidateScores(
        tf.einsum("ncd,nd->nc", own_rows, states), tf.matmul(states, shared_rows, transpose_b=True)
    )


def sampled_logits_losses(
    student: CandidateScores,
    teacher: CandidateScores,
    candidates: Candidates,
    *,
    kd_temperature: float = 1.0,
) -> LogitsLosses:
    """`logits_losses`, over candidates.

    Args:
      student: gradients flow to its scores.
      teacher: constants.
      candidates: what was scored.
      kd_temperature: see `logits_losses`.

    Returns:
      Both losses, means over positions.
    """
    teacher = CandidateScores(*map(tf.stop_gradient, teacher))

    def log_probabilities(scores: CandidateScores, temperature: float) -> tf.Tensor:
        own = scores.own / temperature + candidates.own_offsets
        return tf.nn.log_softmax(
            tf.concat([own, scores.shared / temperature + candidates.shared_offsets], axis=1)
        )

    plain = log_probabilities(student, 1.0)
    softened = plain if kd_temperature == 1.0 else log_probabilities(student, kd_temperature)
    target = log_probabilities(teacher, kd_temperature)
    divergence = tf.reduce_sum(tf.exp(target) * (target - softened), axis=1)
    return LogitsLosses(
        -tf.reduce_mean(plain[:, 0]), tf.reduce_mean(divergence) * kd_temperature**2
    )
