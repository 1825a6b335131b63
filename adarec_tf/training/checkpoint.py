"""Checkpoints at the ends of epochs: an interrupted loop continues as if it had never stopped."""

import json
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class EpochCheckpoint:
    """Saves variables together with a JSON record, and restores the newest pair.

    The older pair is deleted after the newer one is complete, so a kill at any moment leaves one.
    """

    def __init__(self, directory: str, variables: Sequence[keras.Variable | tf.Variable]) -> None:
        """Args: a directory of its own, and everything the loop changes, in a fixed order."""
        self._record = tf.Variable("", dtype=tf.string, trainable=False)
        # Keras 3 variables wrap the TensorFlow variable that can be saved.
        raw = [v.value if isinstance(v, keras.Variable) else v for v in variables]
        checkpoint = tf.train.Checkpoint(variables=raw, record=self._record)
        self._manager = tf.train.CheckpointManager(checkpoint, directory, max_to_keep=1)

    def save(self, record: dict[str, Any]) -> None:
        """Writes the variables' values and `record` (JSON types) as one checkpoint."""
        self._record.assign(json.dumps(record))
        self._manager.save()

    def restore(self) -> dict[str, Any] | None:
        """Assigns the newest checkpoint's values and returns its record; None if there is none."""
        if self._manager.latest_checkpoint is None:
            return None
        self._manager.checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
        return json.loads(self._record.numpy())
