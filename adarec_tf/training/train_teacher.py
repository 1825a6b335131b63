"""Training of teachers from their configs: next-item loss, selection by validation."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.callbacks import EpochRecord, is_new
from adarec_tf.training.co_occurrences import initialize_items
from adarec_tf.training.fit import fit
from adarec_tf.training.side_by_side import side_by_side
from adarec_tf.training.warm_start import warm_start_from


class TrainedTeacher(NamedTuple):
    """A teacher with its best weights, and one record an epoch of its training."""

    model: NextItemModel
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
    earlier: Sequence[NextItemModel] = (),
    windows: str = "last",
    compute_dtype: str = "float32",
    num_processes: int = 1,
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
      num_processes: that train at a time, this one included; 1 where there is a strategy, and
        teachers that continue from earlier ones train one by one.

    Raises:
      ValueError: there are more or fewer earlier models, or they are of another architecture.
    """
    if earlier and len(earlier) != training.num_teachers:
        raise ValueError(
            "`training.num_teachers` should be that of the run whose teachers these continue from, "
            f"{len(earlier)}. Received: {training.num_teachers}."
        )
    member = functools.partial(
        _train_member,
        teacher=teacher,
        training=training,
        train=train,
        valid=valid,
        statistics=statistics,
        seed=seed,
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        windows=windows,
        compute_dtype=compute_dtype,
    )
    numbers = range(training.num_teachers)
    if num_processes > 1 and not earlier:
        # Into the checkpoints, from which they are read below.
        ahead = functools.partial(_train_ahead, member)
        with side_by_side(ahead, [(number,) for number in numbers], num_processes) as train_one:
            for number in numbers:
                train_one(number)
    return [
        member(number, strategy=strategy, earlier=earlier[number] if earlier else None)
        for number in numbers
    ]


def _train_ahead(member: Callable[[int], TrainedTeacher], number: int) -> None:
    """Trains a teacher, which its checkpoint keeps."""
    member(number)


def _train_member(
    number: int,
    *,
    teacher: TeacherConfig,
    training: TrainingConfig,
    train: Histories,
    valid: Histories,
    statistics: SequenceStatistics,
    seed: int,
    checkpoint_dir: str,
    log_dir: str,
    windows: str,
    compute_dtype: str,
    strategy: tf.distribute.Strategy | None = None,
    earlier: NextItemModel | None = None,
) -> TrainedTeacher:
    """Trains one of several teachers, or reads it from its checkpoint; see `train_teachers`."""
    name = f"teacher_{number + 1}" if number else "teacher"
    with (strategy or tf.distribute.get_strategy()).scope():
        model = build_teacher(
            teacher, statistics.num_items, statistics.max_length, seed=seed + number
        )
    if earlier is not None:
        warm_start_from(model, earlier)
    training_history = train_teacher(
        model,
        train,
        valid,
        training,
        seen=statistics.seen,
        seed=seed + number,
        checkpoint_dir=os.path.join(checkpoint_dir, name),
        log_dir=os.path.join(log_dir, name),
        start_counts=earlier is not None,
        windows=windows,
        compute_dtype=compute_dtype,
    )
    return TrainedTeacher(model, training_history)


def train_teacher(
    model: NextItemModel,
    train: Histories,
    valid: Histories,
    config: TrainingConfig,
    *,
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
      model: built; it trains under the strategy in whose scope it was built.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects.
      config: loss, rate, epochs.
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
      One record an epoch, as `training.fit.fit` gives them; those of masked items first.

    Raises:
      ValueError: the training split has no history of two or more items, or a loss is not finite.
    """
    has_begun = start_counts
    records = []
    for phase in model.phases(config.max_epochs):
        phase.model.compile(
            loss=config.loss,
            seen=seen,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            compute_dtype=compute_dtype,
        )
        folder = phase.name.replace(" ", "_")
        phase_dir = os.path.join(checkpoint_dir, folder)
        has_begun = has_begun or not is_new(phase_dir)  # its checkpoint has the table
        if config.initial_table == "co_occurrences" and not has_begun:
            initialize_items(model.sequence_embedding, train, seed)
        has_begun = True
        records += fit(
            phase.model,
            train,
            valid,
            config.replace(max_epochs=phase.epochs),
            stage=f"teacher {phase.name}".strip(),
            seed=seed,
            checkpoint_dir=phase_dir,
            log_dir=None if log_dir is None else os.path.join(log_dir, folder),
            start_counts=start_counts,
            windows=windows,
        )
    return records
