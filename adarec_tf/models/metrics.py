"""Ranking metrics of next items as Keras metrics, streamed over batches of full-catalog scores."""

from typing import Any

import keras
import tensorflow as tf


class _RankingMetric(keras.metrics.Metric):
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
        ranks = target_ranks(y_pred, y_true)
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
class HitRate(_RankingMetric):
    """Share of users whose target is among the first `k` of the catalog, as `hit_rate@k`.

    Args:
      k: cut-off.
      name: in the logs.
      **kwargs: of the Keras metric.

    >>> metric = HitRate(k=1)
    >>> metric.update_state(tf.constant([2, 1]), tf.constant([[0.1, 0.9], [0.2, 0.8]]))
    >>> float(metric.result())
    0.5
    """

    metric_name = "hit_rate"

    def _gains(self, ranks: tf.Tensor) -> tf.Tensor:
        return tf.ones_like(ranks)


@keras.saving.register_keras_serializable("adarec_tf")
class NDCG(_RankingMetric):
    """Normalized discounted cumulative gain of one target a user, as `ndcg@k`: 1 / log2(1 + rank).

    Args:
      k: cut-off.
      name: in the logs.
      **kwargs: of the Keras metric.

    >>> metric = NDCG(k=10)
    >>> metric.update_state(tf.constant([1]), tf.constant([[0.2, 0.8, 0.1]]))
    >>> round(float(metric.result()), 4)
    0.6309
    """

    metric_name = "ndcg"

    def _gains(self, ranks: tf.Tensor) -> tf.Tensor:
        return tf.math.log(2.0) / tf.math.log1p(ranks)


@keras.saving.register_keras_serializable("adarec_tf")
class MRR(_RankingMetric):
    """Mean reciprocal rank of the target, as `mrr@k`.

    Args:
      k: cut-off.
      name: in the logs.
      **kwargs: of the Keras metric.

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


def target_ranks(scores: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Ranks of targets among all items, from 1; a tie counts against the target.

    Args:
      scores: float32 [B, V], item 1 first; -inf where an item is no candidate.
      targets: int [B], in 1..V.

    Returns:
      int64 [B]; V + 1 where the target is no candidate, and last among all where it scores NaN.

    >>> target_ranks(tf.constant([[0.3, 0.9, 0.3]]), tf.constant([1])).numpy()
    array([3])
    """
    scores = tf.convert_to_tensor(scores)
    of_target = tf.gather(scores, targets - 1, batch_dims=1)[:, tf.newaxis]
    is_behind = tf.reduce_sum(tf.cast(scores < of_target, tf.int64), axis=1)
    num_items = tf.shape(scores, tf.int64)[1]
    is_candidate = of_target[:, 0] > scores.dtype.min
    return tf.where(is_candidate, num_items - is_behind, num_items + 1)
