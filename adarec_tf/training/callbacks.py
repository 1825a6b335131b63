"""Keras callbacks of a training that may be killed at any moment and goes on where it was."""

import logging
import math
from typing import Any

import keras
import tensorflow as tf

from adarec_tf.training.checkpoint import EpochCheckpoint
from adarec_tf.training.devices import check_same_epoch, is_chief
from adarec_tf.training.progress import Progress, log_progress

logger = logging.getLogger(__name__)

MONITOR = "val_ndcg@10"

EpochRecord = dict[str, float]


class EpochRecords(keras.callbacks.Callback):
    """Adds the learning rate at the end of an epoch to its logs, and logs them as a line."""

    def __init__(self, stage: str) -> None:
        """Args: the stage's name on the screen."""
        super().__init__()
        self._stage = stage

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Completes and logs the record.

        Args:
          epoch: from 0.
          logs: of Keras; changed.

        Raises:
          ValueError: a loss is not finite.
        """
        logs = logs if logs is not None else {}
        lost = [name for name, value in logs.items() if not math.isfinite(value)]
        if lost:
            raise ValueError(
                f"Losses should stay finite. Received: {', '.join(lost)} not finite in epoch "
                f"{epoch + 1} of {self._stage}; lower its learning_rate."
            )
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        log_progress(
            logger,
            Progress(self._stage, epoch + 1, self.params["epochs"]),
            "stage=%s epoch=%d %s",
            self._stage.replace(" ", "_"),
            epoch + 1,
            # Elements of arrays are for files and pictures.
            " ".join(f"{name}={value:.6g}" for name, value in logs.items() if "[" not in name),
        )


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping on validation NDCG, with a checkpoint of everything at each epoch.

    `keras.callbacks.BackupAndRestore` overwrites its only copy in place, and forgets what early
    stopping knows: the best weights and how long ago they were. A training continued by this one
    ends as it would have ended without interruption, whenever it was killed. The best weights are
    in memory once, as what the checkpoint holds.

    Attributes:
      records: the logs of all epochs, those before an interruption included.
    """

    def __init__(self, checkpoint_dir: str, patience: int, start_value: float | None) -> None:
        """Creates the callback.

        Args:
          checkpoint_dir: of several workers, one folder that all of them see.
          patience: epochs without a better value before the training stops.
          start_value: of the weights at the start, which stay where no epoch is better; None where
            any epoch is better.
        """
        super().__init__(MONITOR, mode="max", patience=patience)
        self._checkpoint_dir = checkpoint_dir
        self._start_value = start_value
        self.records: list[EpochRecord] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Continues from the last finished epoch.

        Raises:
          ValueError: the workers find different epochs.
        """
        super().on_train_begin(logs)
        model = self.model
        self._best = [tf.Variable(v.value, trainable=False) for v in model.weights]
        self.best: Any = self._start_value
        variables = [*model.variables, *model.optimizer.variables, *self._best]
        self._checkpoint = EpochCheckpoint(self._checkpoint_dir, variables)
        restored = self._checkpoint.restore()
        if restored is not None:
            self.records, self.best = restored["records"], restored["best"]
            self.wait, self.best_epoch = restored["wait"], restored["best_epoch"]
        check_same_epoch(model.distribute_strategy, len(self.records), self._checkpoint_dir)
        is_over = self.wait >= self.patience
        model._initial_epoch = self.params["epochs"] if is_over else len(self.records)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Decides whether to go on, and saves.

        Args:
          epoch: from 0.
          logs: all of this epoch.
        """
        super().on_epoch_end(epoch, logs)
        if self.wait >= self.patience:
            self.model.stop_training = True  # also in the first epoch, unlike Keras
        self.records.append({name: float(value) for name, value in (logs or {}).items()})
        if self.wait == 0:  # the best so far
            for best, weight in zip(self._best, self.model.weights, strict=True):
                best.assign(weight.value)
        if is_chief(self.model.distribute_strategy):
            state = {
                "records": self.records,
                "best": float(self.best),
                "wait": self.wait,
                "best_epoch": self.best_epoch,
            }
            self._checkpoint.save(state)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the best weights; a further training of the model begins at its first epoch."""
        super().on_train_end(logs)
        if self.best is not None:
            for best, weight in zip(self._best, self.model.weights, strict=True):
                weight.assign(tf.convert_to_tensor(best))
        self.model._initial_epoch = None


def is_new(checkpoint_dir: str) -> bool:
    """Whether no epoch has been saved there."""
    return tf.train.latest_checkpoint(checkpoint_dir) is None
