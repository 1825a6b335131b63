"""The epoch loop shared by the teacher's training and the student's distillation.

The caller owns the step (losses, gradients, optimizer); this owns when to validate, what the best
weights are, when to stop, and how an interrupted run continues.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.training import FitConfig
from adarec_tf.data.batches import Batch
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.training.checkpoint import EpochCheckpoint
from adarec_tf.training.devices import check_same_epoch, is_chief, mean_over_replicas
from adarec_tf.training.progress import Progress, log_progress
from adarec_tf.training.training_log import TrainingLog

logger = logging.getLogger(__name__)

SELECTION_METRIC = "ndcg@10/full"

EpochRecord = dict[str, float]
_WORST = -1.0  # less than any metric
WARMUP_SHARE = 0.05  # of all steps
CLIP_NORM = 5.0  # of all gradients together


class FitTask(NamedTuple):
    """What a fit loop runs.

    Attributes:
      stage: its name on the screen.
      model: the weights that are kept where validation was best.
      optimizer: built; its variables are part of the checkpoint.
      train_step: one update on a batch; returns the parts of the loss, and whatever else is worth
        its mean over an epoch, as scalars or arrays.
      epoch_batches: epoch number to the batches of that epoch.
      validate: the validation metrics of the current weights, `SELECTION_METRIC` among them.
      extra_variables: further state that the step changes, such as projections and layer masses.
      start_counts: whether the weights at the start stay where no epoch is better on validation:
        those of a model that was trained before.
    """

    stage: str
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    train_step: Callable[[Batch], dict[str, tf.Tensor]]
    epoch_batches: Callable[[int], Iterable[Batch]]
    validate: Callable[[], dict[str, float]]
    extra_variables: Sequence[keras.Variable | tf.Variable] = ()
    start_counts: bool = False


def build_optimizer(
    variables: Sequence[keras.Variable],
    *,
    learning_rate: float,
    num_steps: int,
    weight_decay: float = 0.0,
    warmup_share: float = WARMUP_SHARE,
) -> keras.optimizers.Optimizer:
    """AdamW with linear warm-up and cosine decay over the whole training.

    Args:
      variables: what it will update; biases and the parameters of norms are not decayed.
      learning_rate: the highest.
      num_steps: steps of the whole training.
      weight_decay: AdamW's.
      warmup_share: the part of all steps in which the rate rises.

    Returns:
      A built Keras optimizer.
    """
    num_steps = max(1, num_steps)
    warmup_steps = math.ceil(warmup_share * num_steps)
    # The first step is step 0: a rate of 0 there would waste it.
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / max(1, warmup_steps),
        decay_steps=max(1, num_steps - warmup_steps),
        warmup_target=learning_rate if warmup_steps > 0 else None,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=weight_decay, global_clipnorm=CLIP_NORM
    )
    optimizer.exclude_from_weight_decay(
        var_list=[v for v in variables if len(v.shape) < 2],
        # The supernet stacks the vectors of its operations.
        var_names=["biases", "norm_scales", "norm_offsets"],
    )
    optimizer.build(variables)
    return optimizer


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor | tf.IndexedSlices],
    variables: Sequence[keras.Variable],
) -> None:
    """One update, after adding up the gradients of rows that were looked up more than once.

    Keras takes the norm of sparse gradients slice by slice: clipped as they come, a table whose
    few rows are looked up often would escape clipping. Likewise it clips what one replica has, and
    adds the replicas up afterwards: where there are several, each hands in its part of what is
    clipped already.
    """
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync > 1:
        whole = replica.all_reduce(tf.distribute.ReduceOp.SUM, dense)
        clipped, _ = tf.clip_by_global_norm(whole, optimizer.global_clipnorm)
        dense = [gradient / replica.num_replicas_in_sync for gradient in clipped]
    optimizer.apply(dense, variables)


def fit(
    task: FitTask, config: FitConfig, checkpoint_dir: str, log_dir: str | None = None
) -> list[EpochRecord]:
    """Trains until the epochs are over or validation stops improving; keeps the best weights.

    Of several workers the chief writes, and all of them read its checkpoints.

    Args:
      task: what to run.
      config: epochs and patience.
      checkpoint_dir: a finished epoch is saved here; a fit that was interrupted continues.
      log_dir: where TensorBoard finds the records; None writes none.

    Returns:
      One record an epoch: loss parts (`name[i,j]` where an array), validation metrics, learning
      rate at its end, labeled positions a second, seconds of training. The model holds the weights
      of the epoch with the best validation metric, or those of the start (see `FitTask`).

    Raises:
      ValueError: a loss is not finite, or the workers continue from different epochs.
    """
    best_weights = [tf.Variable(v.value, trainable=False) for v in task.model.weights]
    checkpoint = EpochCheckpoint(
        checkpoint_dir,
        [*task.model.variables, *task.optimizer.variables, *task.extra_variables, *best_weights],
    )
    restored = checkpoint.restore() or {"history": []}
    history: list[EpochRecord] = restored["history"]
    strategy = task.model.distribute_strategy
    check_same_epoch(strategy, len(history), checkpoint_dir)
    writes_files = is_chief(strategy)
    log = TrainingLog(log_dir if writes_files else None, history)
    start = restored["start"] if "start" in restored else _start_metric(task)
    while not _is_finished(history, start, config):
        epoch = len(history)
        record = _run_epoch(task, epoch)
        if record[SELECTION_METRIC] > _best(history, start):
            _copy(task.model.weights, best_weights)
        history.append(record)
        if writes_files:
            checkpoint.save({"history": history, "start": start})
        log.append(record)
        log_progress(
            logger,
            Progress(task.stage, epoch + 1, config.max_epochs),
            "stage=%s epoch=%d %s",
            task.stage.replace(" ", "_"),
            epoch + 1,
            # Elements of arrays are for files and pictures.
            " ".join(f"{name}={value:.6g}" for name, value in record.items() if "[" not in name),
        )
    for best, variable in zip(best_weights, task.model.weights, strict=True):
        variable.assign(best)
    return history


def _run_epoch(task: FitTask, epoch: int) -> EpochRecord:
    start = time.monotonic()
    sums: dict[str, tf.Tensor] = {}
    num_steps = num_positions = 0
    for batch in task.epoch_batches(epoch):
        parts = task.train_step(batch)
        sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
        num_steps += 1
        num_positions += np.count_nonzero(batch.labels != PAD)
    record = _scalars({name: value / max(1, num_steps) for name, value in sums.items()})
    not_finite = [
        name for name, value in record.items() if "[" not in name and not math.isfinite(value)
    ]
    if not_finite:
        raise ValueError(
            f"Losses should stay finite. Received: {', '.join(not_finite)} not finite in epoch "
            f"{epoch + 1} of {task.stage}; lower its learning_rate."
        )
    train_seconds = time.monotonic() - start
    return {
        **record,
        **mean_over_replicas(task.model.distribute_strategy, task.validate()),
        "learning_rate": float(task.optimizer.learning_rate),
        "positions_per_second": num_positions / train_seconds,
        "train_s": train_seconds,
    }


def _scalars(values: dict[str, tf.Tensor]) -> dict[str, float]:
    """Numbers by name; those of an array by its name and their place, counted from 1."""
    return {
        name + (f"[{','.join(str(i + 1) for i in index)}]" if index else ""): float(value)
        for name, array in values.items()
        for index, value in np.ndenumerate(np.asarray(array))
    }


def _start_metric(task: FitTask) -> float:
    """What an epoch has to be better than: any is where the start does not count."""
    if not task.start_counts:
        return _WORST
    metrics = mean_over_replicas(task.model.distribute_strategy, task.validate())
    logger.info("stage=%s start %s=%.6g", task.stage, SELECTION_METRIC, metrics[SELECTION_METRIC])
    return metrics[SELECTION_METRIC]


def _is_finished(history: list[EpochRecord], start: float, config: FitConfig) -> bool:
    values = [start, *(record[SELECTION_METRIC] for record in history)]
    since_best = len(values) - 1 - values.index(max(values))
    return len(history) >= config.max_epochs or since_best >= config.patience


def _best(history: list[EpochRecord], start: float) -> float:
    return max((start, *(record[SELECTION_METRIC] for record in history)))


def _copy(sources: Sequence[keras.Variable], targets: Sequence[tf.Variable]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.assign(source.value)
