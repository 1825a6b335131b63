"""Training of a teacher: next-item loss at every position, selection by validation.

BERT4Rec is trained on masked items first, and then on next items with a causal mask.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.batches import Batch, count_batches, masked_item_batches, next_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.evaluation.protocols import ScoreBatch, evaluate_full, model_scorer
from adarec_tf.models.sequence_model import SequenceOutputs
from adarec_tf.models.teachers import build_teacher
from adarec_tf.models.teachers.bert4rec import BERT4Rec
from adarec_tf.training.devices import LossParts, TrainStep, compile_step
from adarec_tf.training.fit import EpochRecord, FitTask, apply_gradients, build_optimizer, fit
from adarec_tf.training.losses import TaskLoss, labeled_positions, task_loss
from adarec_tf.training.warm_start import warm_start_from


class _Phase(NamedTuple):
    """One way to train the weights.

    Attributes:
      stage: its name on the screen.
      forward: item ids [B, L] and whether it is training to outputs.
      batches: of an epoch, given `seed` and `epoch`.
      scorer: for the validation targets.
    """

    stage: str
    forward: Callable[..., SequenceOutputs]
    batches: Callable[..., Iterator[Batch]]
    scorer: ScoreBatch


class TrainedTeacher(NamedTuple):
    """A teacher with its best weights, and one record an epoch of its training."""

    model: keras.Model
    training_history: list[EpochRecord]


def train_teachers(
    teacher: TeacherConfig,
    training: TrainingConfig,
    train: Histories,
    valid: Histories,
    *,
    statistics: SequenceStatistics,
    seed: int,
    checkpoint_dir: str,
    log_dir: str,
    strategy: tf.distribute.Strategy,
    earlier: Sequence[keras.Model] = (),
    windows: str = "last",
    compute_dtype: str = "float32",
) -> list[TrainedTeacher]:
    """Builds and trains as many teachers of one architecture as `training.num_teachers` says.

    Args:
      teacher: the architecture.
      training: the fit loop, and the number of teachers.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects.
      statistics: of these histories; the number of items, `max_length` and `seen` are read.
      seed: of the first teacher's weights, dropout and batches; each further one has the next.
      checkpoint_dir: where an interrupted training continues from.
      log_dir: where TensorBoard finds a folder for each teacher.
      strategy: under which they are trained.
      earlier: models of an earlier run, from whose weights they continue, each from its own.
      windows: what is trained on of a long history, its `last` items or `all`.
      compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.

    Raises:
      ValueError: there are more or fewer earlier models, or they are of another architecture.
    """
    if earlier and len(earlier) != training.num_teachers:
        raise ValueError(
            "`training.num_teachers` should be that of the run whose teachers these continue from, "
            f"{len(earlier)}. Received: {training.num_teachers}."
        )
    trained: list[TrainedTeacher] = []
    for number in range(training.num_teachers):
        name = f"teacher_{number + 1}" if number else "teacher"
        with strategy.scope():
            model = build_teacher(
                teacher, statistics.num_items, statistics.max_length, seed=seed + number
            )
        if earlier:
            warm_start_from(model, earlier[number])
        training_history = train_teacher(
            model,
            train,
            valid,
            training,
            max_length=statistics.max_length,
            seen=statistics.seen,
            seed=seed + number,
            checkpoint_dir=os.path.join(checkpoint_dir, name),
            log_dir=os.path.join(log_dir, name),
            start_counts=bool(earlier),
            windows=windows,
            compute_dtype=compute_dtype,
        )
        trained.append(TrainedTeacher(model, training_history))
    return trained


def train_teacher(
    model: keras.Model,
    train: Histories,
    valid: Histories,
    config: TrainingConfig,
    *,
    max_length: int,
    seen: str,
    seed: int,
    checkpoint_dir: str,
    log_dir: str | None = None,
    start_counts: bool = False,
    windows: str = "last",
    compute_dtype: str = "float32",
) -> list[EpochRecord]:
    """Trains a teacher; it ends with the weights that were best on the validation targets.

    Args:
      model: a built sequence model; it trains under the strategy in whose scope it was built.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects.
      config: the fit loop.
      max_length: items the model sees.
      seen: `exclude` or `keep`, for the validation metric.
      seed: of the order of the batches; dropout follows the seed the model was built with.
      checkpoint_dir: where an interrupted training continues from; of several workers, one folder
        that all of them see.
      log_dir: where TensorBoard finds the records; None writes none.
      start_counts: whether the weights it comes with stay where no epoch is better.
      windows: what is trained on of a history longer than `max_length`: its `last` items, or `all`
        of them in windows.
      compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.

    Returns:
      One record an epoch; those of masked-item training first.

    Raises:
      ValueError: the training split has no history of two or more items, or a loss is not finite.
    """

    def sized(batches: Callable[..., Iterator[Batch]]) -> Callable[..., Iterator[Batch]]:
        return partial(
            batches,
            train,
            max_length=max_length,
            positions_per_batch=config.positions_per_batch,
            windows=windows,
        )

    run = partial(
        _fit,
        model,
        train,
        valid,
        max_length=max_length,
        seen=seen,
        seed=seed,
        start_counts=start_counts,
        compute_dtype=compute_dtype,
    )
    next_item = _Phase("teacher", model, sized(next_item_batches), model_scorer(model))
    if not isinstance(model, BERT4Rec):
        return run(next_item, config, checkpoint_dir=checkpoint_dir, log_dir=log_dir)
    masked_batches = partial(
        sized(masked_item_batches),
        mask_id=model.sequence_embedding.mask_id,
        mask_probability=model.mask_probability,
    )
    masked_item = _Phase(
        "teacher masked items",
        model.masked_outputs,
        masked_batches,
        appended_mask_scorer(model, max_length),
    )
    phases = [("masked", masked_item, config)]
    if model.fine_tune_epochs > 0:
        fine_tuning = config.replace(max_epochs=model.fine_tune_epochs)
        phases.append(("next", next_item, fine_tuning))
    return [
        record
        for name, phase, settings in phases
        for record in run(
            phase,
            settings,
            checkpoint_dir=os.path.join(checkpoint_dir, name),
            log_dir=None if log_dir is None else os.path.join(log_dir, name),
        )
    ]


def _fit(
    model: keras.Model,
    train: Histories,
    valid: Histories,
    phase: _Phase,
    config: TrainingConfig,
    *,
    max_length: int,
    seen: str,
    seed: int,
    checkpoint_dir: str,
    log_dir: str | None,
    start_counts: bool,
    compute_dtype: str,
) -> list[EpochRecord]:
    num_steps = count_batches(phase.batches(seed=seed, epoch=0))
    with model.distribute_strategy.scope():
        optimizer = build_optimizer(
            model.trainable_variables,
            learning_rate=config.learning_rate,
            num_steps=num_steps * config.max_epochs,
            weight_decay=config.weight_decay,
        )
    loss = task_loss(
        config.loss, model.sequence_embedding, train, seed=seed, compute_dtype=compute_dtype
    )
    train_step = _train_step(model, phase.forward, optimizer, loss)
    task = FitTask(
        stage=phase.stage,
        model=model,
        optimizer=optimizer,
        train_step=lambda batch: train_step(tf.constant(batch.item_ids), tf.constant(batch.labels)),
        epoch_batches=lambda epoch: phase.batches(seed=seed, epoch=epoch),
        validate=lambda: evaluate_full(
            phase.scorer,
            valid,
            num_items=model.sequence_embedding.num_items,
            max_length=max_length,
            seen=seen,
            cutoffs=(10,),
        ),
        start_counts=start_counts,
    )
    return fit(task, config, checkpoint_dir, log_dir)


def _train_step(
    model: keras.Model,
    forward: Callable[..., SequenceOutputs],
    optimizer: keras.optimizers.Optimizer,
    loss: TaskLoss,
) -> TrainStep:
    def train_step(item_ids: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor | float) -> LossParts:
        with tf.GradientTape() as tape:
            outputs = forward(item_ids, training=True)
            positions = labeled_positions(labels)
            states = tf.gather_nd(outputs.final_states, positions.indices)
            task = weight * loss(states, positions.labels, optimizer.iterations.value)
        variables = model.trainable_variables
        gradients = tape.gradient(task, [v.value for v in variables])
        apply_gradients(optimizer, gradients, variables)
        return {"task": task}

    return compile_step(model.distribute_strategy, train_step)


def appended_mask_scorer(model: BERT4Rec, max_length: int) -> ScoreBatch:
    """Scores the item hidden behind a mask at the end of each history, seen in both directions.

    Args:
      model: its current weights are used at each call.
      max_length: items the model sees, of which the mask is one.
    """
    mask_id = model.sequence_embedding.mask_id

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def score(item_ids: tf.Tensor) -> tf.Tensor:
        last_states = model.masked_outputs(item_ids, training=False).final_states[:, -1]
        return model.sequence_embedding.item_logits(last_states)

    def score_batch(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        masks = np.full((len(item_ids), 1), mask_id, np.int64)
        return score(np.concatenate([item_ids[:, -(max_length - 1) :], masks], axis=1)).numpy()

    return score_batch
