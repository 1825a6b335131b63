"""What Keras' `evaluate` and `predict` are fed with: histories, and the target of each to rank."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import pad_item_sets, target_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.models.epoch_feed import IDS, from_generator
from adarec_tf.models.metrics import users_at_a_time

_POSITIONS = 16384  # of a batch of evaluation


class TargetFeed:
    """The batches of an evaluation."""

    def __init__(self, histories: Histories, *, max_length: int, num_items: int, seen: str) -> None:
        """Makes nothing yet.

        Args:
          histories: with targets, or without.
          max_length: items of a history that a model sees.
          num_items: of the catalog.
          seen: `exclude` or `keep`: whether items of the history are candidates.
        """
        self._histories, self._max_length, self._seen = histories, max_length, seen
        self._num_users_at_a_time = users_at_a_time(num_items)

    def dataset(self, strategy: tf.distribute.Strategy) -> Any:
        """What `test_step` of a model takes.

        Args:
          strategy: each of its replicas gets every user.
        """
        replicas = strategy.num_replicas_in_sync
        if replicas == 1:
            return self.of_one_replica()
        # Every replica ranks every user, as the means of equal numbers are these numbers.
        return strategy.distribute_datasets_from_function(
            lambda context: self.of_one_replica().flat_map(
                lambda *batch: tf.data.Dataset.from_tensors(batch).repeat(
                    replicas // context.num_input_pipelines
                )
            )
        )

    def of_one_replica(self) -> tf.data.Dataset:
        """As `dataset`, of known size: Keras warns of data that runs out."""
        num_batches = sum(1 for _ in self.batches())
        return from_generator(
            lambda: (((ids, seen), to_rank) for _, ids, seen, to_rank in self.batches()),
            ((IDS, IDS), tf.TensorSpec([None], tf.int64)),
        ).apply(tf.data.experimental.assert_cardinality(num_batches))

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Rows [B], item ids [B, L], items that are no candidates [B, M], and targets [B]."""
        size, targets = self._num_users_at_a_time, self._histories.targets
        for rows, item_ids in target_batches(
            self._histories, max_length=self._max_length, positions_per_batch=_POSITIONS
        ):
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                excluded = np.zeros([len(part), 0], np.int64)
                if self._seen == "exclude":
                    excluded = pad_item_sets(self._histories, part)
                yield part, item_ids[start : start + size], excluded, targets[part]
