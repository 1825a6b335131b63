"""How the pipeline fits a model: Keras' `fit` with early stopping, resumption and logs."""

import math

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.extras import require_extra
from adarec_tf.config.training import FitConfig
from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.training.callbacks import (
    EpochRecord,
    EpochRecords,
    ResumableEarlyStopping,
    is_new,
)
from adarec_tf.training.devices import is_chief

SELECTION_METRIC = "ndcg@10/full"
# Users validated on after an epoch, and scores of items that they get: with more, validation would
# take longer than training. The standard error of NDCG@10 is 0.003 at most, with a million items
# 0.007, and the same users compare all epochs.
VALIDATION_USERS = 20_000
_VALIDATION_SCORES = 4 * 10**9
# Trained on between two checkpoints at most: minutes, which are what a kill costs. With a million
# items validation takes a tenth of them.
_CHECKPOINT_POSITIONS = 10_000_000


def fit(
    model: NextItemModel,
    train: Histories,
    valid: Histories,
    config: FitConfig,
    *,
    stage: str,
    seed: int,
    checkpoint_dir: str,
    log_dir: str | None = None,
    start_counts: bool = False,
    windows: str = "last",
) -> list[EpochRecord]:
    """Fits a compiled model until the epochs are over or validation stops improving.

    Args:
      model: compiled; it ends with the weights that were best on validation.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects; of more than `VALIDATION_USERS` so many, the
        same ones always; fewer where the catalog has more than 200,000 items.
      config: epochs, patience and the size of batches.
      stage: its name on the screen.
      seed: of the order of the batches; dropout follows the seed the model was built with.
      checkpoint_dir: a finished epoch is saved here, or part of one where it has more than ten
        million positions; a fit that was interrupted continues.
      log_dir: where TensorBoard finds the records; None writes none.
      start_counts: whether the weights it comes with stay where no epoch is better.
      windows: what is trained on of a history longer than `max_length`: its `last` items, or `all`
        of them in windows.

    Returns:
      One record an epoch, or part of one: loss and its parts, `val_` metrics, learning rate at its
      end, labeled positions a second, and seconds of training.

    Raises:
      ValueError: there is nothing to train on, or a loss is not finite.
    """
    most = _VALIDATION_SCORES // model.sequence_embedding.num_items
    valid = sample_users(valid, min(VALIDATION_USERS, max(1, most)))
    start_value = None
    if start_counts:
        metrics = model.evaluate(valid, return_dict=True, verbose=0)
        start_value = metrics["ndcg@10"]
    longest = model.sequence_embedding.max_length if windows == "last" else None
    num_positions = int(np.clip(train.lengths - 1, 0, longest).sum())
    parts = max(1, math.ceil(num_positions / _CHECKPOINT_POSITIONS))
    stopping = ResumableEarlyStopping(checkpoint_dir, parts * config.patience, start_value)
    callbacks: list[keras.callbacks.Callback] = [EpochRecords(stage), stopping]
    if log_dir is not None and is_chief(model.distribute_strategy):
        require_extra("report", "tensorboard")
        if is_new(checkpoint_dir) and tf.io.gfile.exists(log_dir):
            tf.io.gfile.rmtree(log_dir)
        callbacks.append(keras.callbacks.TensorBoard(log_dir, write_graph=False))
    model.fit(
        train,
        validation_data=valid,
        epochs=parts * config.max_epochs,
        callbacks=callbacks,
        positions_per_batch=config.positions_per_batch,
        windows=windows,
        parts=parts,
        seed=seed,
        verbose=0,
    )
    return stopping.records
