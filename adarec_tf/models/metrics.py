"""Ranking metrics of next items as Keras metrics, streamed over batches of full-catalog scores."""

from typing import Any

import keras
import tensorflow as tf

# Scores held at once: 64 MiB of float32. Where that is few users, so many are ranked together,
# as a pass over a large item table takes as long for one as for several, up to 512 MiB.
_SCORES, _USERS, _MOST_SCORES = 2**24, 64, 2**27


def users_at_a_time(num_items: int) -> int:
    """How many users are ranked among a catalog in one batch.

    Args:
      num_items: size of the catalog.

    Examples:
        >>> users_at_a_time(60_000), users_at_a_time(1_000_000), users_at_a_time(10_000_000)
        (279, 64, 13)
    """
    return max(1, _SCORES // num_items, min(_USERS, _MOST_SCORES // num_items))


class RankingMetric(keras.metrics.Metric):
    """The mean over users of a gain that the rank of their target decides; 0 behind `k`."""

    def __init__(self, k: int = 10, name: str | None = None, **kwargs: Any) -> None:
        if k < 1:
            raise ValueError(f"`k` should be a positive integer. Received: k={k}.")
        super().__init__(name=name or f"{self.metric_name}@{k}", **kwargs)
        self.k = k
        self._total = self.add_variable((), "zeros", name="total")
        self._count = self.add_variable((), "zeros", name="count")

    metric_name: str

    def _gains(self, ranks: tf.Tensor) -> tf.Tensor:
        """What a target at each rank (float32 [B], from 1) adds."""
        raise NotImplementedError

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> None:
        """Adds a batch of users.

        Args:
          y_true: int [B], target items in 1..V.
          y_pred: float32 [B, V], the score of each item, item 1 first; -inf where an item is no
            candidate.
          sample_weight: float32 [B], weights of the users; all count alike by default.
        """
        self.update_ranks(target_ranks(y_pred, y_true), sample_weight)

    def update_ranks(self, ranks: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        """Adds a batch of users whose targets have been ranked.

        Args:
          ranks: int [B], from 1, see `target_ranks`.
          sample_weight: float32 [B], weights of the users; all count alike by default.
        """
        gains = tf.where(ranks <= self.k, self._gains(tf.cast(ranks, tf.float32)), 0.0)
        weights = tf.ones_like(gains) if sample_weight is None else sample_weight
        self._total.assign_add(tf.reduce_sum(weights * gains))
        self._count.assign_add(tf.reduce_sum(weights))

    def result(self) -> tf.Tensor:
        """The mean so far; 0 for no users at all."""
        return tf.math.divide_no_nan(self._total.value, self._count.value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "k": self.k}


@keras.saving.register_keras_serializable("adarec_tf")
class HitRate(RankingMetric):
    """Share of users whose target is among the first `k` of the catalog, as `hit_rate@k`.

    Args:
      k: cut-off.
      name: in the logs.
      **kwargs: of the Keras metric.

    Raises:
      ValueError: `k` is below 1.

    Examples:
        >>> metric = HitRate(k=1)
        >>> metric.update_state(tf.constant([2, 1]), tf.constant([[0.1, 0.9], [0.2, 0.8]]))
        >>> float(metric.result())
        0.5
    """

    metric_name = "hit_rate"

    def _gains(self, ranks: tf.Tensor) -> tf.Tensor:
        return tf.ones_like(ranks)


@keras.saving.register_keras_serializable("adarec_tf")
class NDCG(RankingMetric):
    """Normalized discounted cumulative gain of one target a user, as `ndcg@k`: 1 / log2(1 + rank).

    Args:
      k: cut-off.
      name: in the logs.
      **kwargs: of the Keras metric.

    Raises:
      ValueError: `k` is below 1.

    Examples:
        >>> metric = NDCG(k=10)
        >>> metric.update_state(tf.constant([1]), tf.constant([[0.2, 0.8, 0.1]]))
        >>> round(float(metric.result()), 4)
        0.6309
    """

    metric_name = "ndcg"

    def _gains(self, ranks: tf.Tensor) -> tf.Tensor:
        return tf.math.log(2.0) / tf.math.log1p(ranks)


@keras.saving.register_keras_serializable("adarec_tf")
class MRR(RankingMetric):
    """Mean reciprocal rank of the target, as `mrr@k`.

    Args:
      k: cut-off.
      name: in the logs.
      **kwargs: of the Keras metric.

    Raises:
      ValueError: `k` is below 1.

    Examples:
        >>> metric = MRR(k=10)
        >>> metric.update_state(tf.constant([1]), tf.constant([[0.2, 0.8, 0.1]]))
        >>> float(metric.result())
        0.5
    """

    metric_name = "mrr"

    def _gains(self, ranks: tf.Tensor) -> tf.Tensor:
        return 1.0 / ranks


class ArrayMean(keras.metrics.Metric):
    """The mean of arrays of one shape over batches."""

    def __init__(self, shape: tuple[int, ...], name: str, **kwargs: Any) -> None:
        """Creates the metric.

        Args:
          shape: of the arrays.
          name: in the logs.
          **kwargs: of the Keras metric.
        """
        super().__init__(name=name, **kwargs)
        self._total = self.add_variable(shape, "zeros", name="total")
        self._count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: tf.Tensor) -> None:
        """Adds the array of a batch."""
        self._total.assign_add(values)
        self._count.assign_add(1.0)

    def result(self) -> tf.Tensor:
        """The mean so far."""
        return tf.math.divide_no_nan(self._total.value, self._count.value)


def target_ranks(
    scores: tf.Tensor, targets: tf.Tensor, excluded: tf.Tensor | None = None
) -> tf.Tensor:
    """Ranks of targets among all candidates, from 1; a tie counts against the target.

    Args:
      scores: float [B, V], item 1 first.
      targets: int [B], in 1..V.
      excluded: int64 [B, M], items that are no candidates, each once; 0 where there is none.

    Returns:
      int64 [B]; V + 1 where the target is excluded, and last among all where it scores NaN.

    Examples:
        >>> target_ranks(tf.constant([[0.3, 0.9, 0.3]]), tf.constant([1])).numpy()
        array([3])
    """
    scores = tf.convert_to_tensor(scores)
    targets = tf.cast(targets, tf.int64)[:, tf.newaxis]
    of_target = tf.gather(scores, targets - 1, batch_dims=1)
    num_items = tf.shape(scores, tf.int64)[1]
    # Not those at or above it: what is NaN is not behind.
    ranks = num_items - _count(scores < of_target)
    if excluded is None:
        return ranks
    excluded = tf.cast(excluded, tf.int64)
    of_excluded = tf.gather(scores, tf.maximum(excluded - 1, 0), batch_dims=1)
    ranks -= _count((excluded > 0) & ~(of_excluded < of_target))
    return tf.where(tf.reduce_any(excluded == targets, axis=1), num_items + 1, ranks)


def without_items(scores: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
    """The scores, -inf at the excluded items.

    Args:
      scores: float [B, V], item 1 first.
      excluded: int64 [B, M], 0 where there is none.

    Returns:
      As `scores`.
    """
    size = tf.shape(excluded, tf.int64)
    rows = tf.broadcast_to(tf.range(size[0])[:, tf.newaxis], size)
    places = tf.stack([rows, tf.maximum(excluded - 1, 0)], axis=-1)
    infinity = tf.constant(float("inf"), scores.dtype)
    return tf.tensor_scatter_nd_min(scores, places, tf.where(excluded > 0, -infinity, infinity))


def _count(is_in: tf.Tensor) -> tf.Tensor:
    """How many are true in each row: int64 [B]; added up as int32, which are half the bytes."""
    return tf.cast(tf.reduce_sum(tf.cast(is_in, tf.int32), axis=1), tf.int64)
