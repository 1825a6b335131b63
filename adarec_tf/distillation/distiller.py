"""Training of the final student against its frozen teacher.

The released code fine-tunes the derived student with cross-entropy alone; here the teacher stays.
"""

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.distillation import MAX_POSITIONS, DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.distillation.ensemble import EnsembleTeacher, as_one_teacher
from adarec_tf.distillation.initial_table import initialize_table
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.distillation.teacher_cache import (
    MAX_CACHE_BYTES,
    OnlineTeacher,
    read_teacher,
)
from adarec_tf.models.epoch_feed import IDS, EpochFeed
from adarec_tf.models.metrics import ArrayMean
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.same_items import check_same_items
from adarec_tf.models.sequence_model import SequenceOutputs
from adarec_tf.models.students import Genotype, Student, build_student
from adarec_tf.training.callbacks import EpochRecord
from adarec_tf.training.fit import fit
from adarec_tf.training.warm_start import warm_start_from


def train_student(
    genotype: Genotype,
    student: StudentConfig,
    teacher: keras.Model | EnsembleTeacher,
    train: Histories,
    valid: Histories,
    distillation: DistillationConfig,
    *,
    statistics: SequenceStatistics,
    seed: int,
    checkpoint_dir: str,
    log_dir: str | None = None,
    earlier: keras.Model | None = None,
    windows: str = "last",
    compute_dtype: str = "float32",
) -> tuple[Student, list[EpochRecord]]:
    """Builds the student of a genotype and trains it with distillation.

    Args:
      genotype: its architecture.
      student: what the genotype does not decide.
      teacher: a trained sequence model over the same items, or several.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects.
      distillation: the terms' weights and the fit loop.
      statistics: of these histories; the number of items, `max_length` and `seen` are read.
      seed: of weights, dropout and batches.
      checkpoint_dir: where an interrupted training continues from.
      log_dir: where TensorBoard finds the records.
      earlier: an earlier run's student of this genotype, from whose weights it continues, whatever
        `distillation.initial_table` says; None begins anew.
      windows: what is trained on of a long history, its `last` items or `all`.
      compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.

    Returns:
      The student with its best weights, and what `distill_student` returns.

    Raises:
      ValueError: the earlier student is of another architecture.
    """
    model = build_student(genotype, student, statistics.num_items, statistics.max_length, seed=seed)
    if earlier is not None:
        warm_start_from(model, earlier)
        distillation = distillation.replace(initial_table="random")
    training_history = distill_student(
        model,
        teacher,
        train,
        valid,
        distillation,
        seen=statistics.seen,
        seed=seed,
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        start_counts=earlier is not None,
        windows=windows,
        compute_dtype=compute_dtype,
    )
    return model, training_history


def distill_student(
    student: NextItemModel,
    teacher: keras.Model | EnsembleTeacher,
    train: Histories,
    valid: Histories,
    config: DistillationConfig,
    *,
    seen: str,
    seed: int,
    checkpoint_dir: str,
    log_dir: str | None = None,
    start_counts: bool = False,
    windows: str = "last",
    compute_dtype: str = "float32",
    max_cache_bytes: int = MAX_CACHE_BYTES,
) -> list[EpochRecord]:
    """Trains a student with distillation; it ends with the best weights on validation.

    Args:
      student: a built sequence model, of any kind; with `initial_table=teacher` its item table is
        replaced before anything is trained.
      teacher: a trained sequence model over the same items, of any kind, or an `EnsembleTeacher`;
        it is not changed.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects.
      config: the terms' weights and the fit loop.
      seen: `exclude` or `keep`, for the validation metric.
      seed: of projections and the order of the batches; dropout follows the seed the student was
        built with.
      checkpoint_dir: where an interrupted training continues from.
      log_dir: where TensorBoard finds the records; None writes none.
      start_counts: whether the weights it comes with stay where no epoch is better.
      windows: what is trained on of a history longer than `max_length`: its `last` items, or `all`
        of them in windows.
      compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.
      max_cache_bytes: of the teacher's states that are kept; with more of them, the teacher runs in
        every step.

    Returns:
      One record an epoch, as `training.fit.fit` gives them, with the parts of the loss; where
      layers are matched, with the mean transport plan (`plan[s,t]`) and the masses after it
      (`student_mass[s]`, `teacher_mass[t]`).

    Raises:
      ValueError: student and teacher know different numbers of items, there is nothing to train
        on, or a loss is not finite.
    """
    distiller = Distiller(
        student,
        teacher,
        config,
        seed=seed,
        cache_dir=os.path.join(checkpoint_dir, "teacher_states"),
        max_cache_bytes=max_cache_bytes,
        compute_dtype=compute_dtype,
    )
    distiller.compile(seen=seen, learning_rate=config.learning_rate)
    return fit(
        distiller,
        _taught_users(train, config, seed),
        valid,
        config,
        stage="distillation",
        seed=seed,
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        start_counts=start_counts,
        windows=windows,
    )


def _taught_users(train: Histories, config: DistillationConfig, seed: int) -> Histories:
    """All histories, or those of as many users, drawn at random, as `MAX_POSITIONS` are of."""
    num_positions = int(np.maximum(train.lengths - 1, 0).sum())
    if config.initial_table == "random" or num_positions <= MAX_POSITIONS:
        return train
    return sample_users(train, round(MAX_POSITIONS / num_positions * train.num_users), seed)


class Distiller(NextItemModel):
    """Trains a student against its frozen teacher; it is compiled and fitted as a student is.

    What it evaluates and predicts is the student, whose weights it trains. Projections to the width
    of the teacher and layer masses live here alone.

    Examples:
        >>> distiller = ar.Distiller(student, teacher)
        >>> distiller.compile()
        >>> history = distiller.fit(data.train, validation_data=data.valid, epochs=1, verbose=0)
        >>> [name for name in history.history if name.startswith("val_")]
        ['val_hit_rate@10', 'val_loss', 'val_ndcg@10']

    Attributes:
      student: what is trained.
    """

    def __init__(
        self,
        student: NextItemModel,
        teacher: keras.Model | EnsembleTeacher | Sequence[keras.Model],
        config: DistillationConfig | None = None,
        *,
        seed: int = 0,
        cache_dir: str | None = None,
        max_cache_bytes: int = MAX_CACHE_BYTES,
        compute_dtype: str = "float32",
    ) -> None:
        """Creates projections and masses.

        Args:
          student: built; with `initial_table=teacher` its item table is replaced here.
          teacher: trained, over the same items, or several; it is not changed.
          config: the terms and their weights; the defaults where it is None.
          seed: of the projections and of sampled items.
          cache_dir: where the teacher's states are kept; None is a temporary folder.
          max_cache_bytes: of these; with more of them, the teacher runs in every step.
          compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.

        Raises:
          ValueError: student and teacher know different numbers of items, or there are several
            replicas.
        """
        config, teacher = config or DistillationConfig(), as_one_teacher(teacher)
        check_same_items(student=student, teacher=teacher)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise ValueError(
                "A Distiller should be made outside of the scope of several replicas. Received: "
                f"{tf.distribute.get_strategy().num_replicas_in_sync} replicas."
            )
        super().__init__({}, name="distiller")
        if config.initial_table == "teacher":
            initialize_table(student.sequence_embedding, teacher.sequence_embedding)
        keras.utils.set_random_seed(seed)
        num_layers = len(student(tf.zeros([1, 1], tf.int64)).hidden_states)
        self._objective = DistillationObjective(
            student.sequence_embedding, num_layers, teacher, config, compute_dtype
        )
        self.student = student
        self.sequence_embedding = student.sequence_embedding
        self.projections = self._objective.projections
        self.student_mass = self._objective.student_mass
        self.teacher_mass = self._objective.teacher_mass
        self._seen = student._seen
        self._matches_layers = config.hidden_weight > 0
        self._parts = [
            keras.metrics.Mean(part) for part in ("task", "embedding_kd", "hidden_kd", "logits_kd")
        ]
        self._plan = ArrayMean((self.student_mass.shape[0], self.teacher_mass.shape[0]), "plan")
        self._seed = seed
        scratch = None if cache_dir else tempfile.TemporaryDirectory()  # gone with this model
        # A teacher that is an attribute would be a part of this model, trained and saved with it.
        self._read_teacher = lambda train, keeps: read_teacher(
            teacher,
            train,
            max_length=student.sequence_embedding.max_length,
            directory=scratch.name if scratch else str(cache_dir),
            max_bytes=max_cache_bytes if keeps else 0,
            num_top_items=config.num_kept_items,
            has_layers=config.reads_layers,
        )
        self(tf.zeros([1, 1], tf.int64))

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Asks the student.

        Args:
          item_ids: int64 [B, L], left-padded with 0.
          training: whether dropout is on.

        Returns:
          What the student returns.
        """
        return self.student(item_ids, training=training)

    def last_states(self, item_ids: tf.Tensor) -> tf.Tensor:
        """Asks the student.

        Args:
          item_ids: int [B, L], left-padded with 0.

        Returns:
          float32 [B, D].
        """
        return self.student.last_states(item_ids)

    def compile(self, *args: Any, **options: Any) -> None:
        """Says how the student is trained and judged; it is compiled itself, to go on without.

        Args:
          *args: of `NextItemModel.compile`; its loss is not read.
          **options: likewise.
        """
        super().compile(*args, **options)
        self.student.compile(seen=self.seen)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The objective, the compiled metrics, the parts of the objective, and the plan."""
        return [*super().metrics, *self._parts, self._plan]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update of student, projections and masses.

        Args:
          data: item ids [B, L]; labels [B, L] and the teacher's states at them.

        Returns:
          The loss and its parts so far by name, scalars float32.
        """
        item_ids, (labels, states) = data
        seed = tf.stack([self._seed, tf.cast(self.optimizer.iterations.value, tf.int64)])
        with tf.GradientTape() as tape:
            outputs = self.student(item_ids, training=True)
            value = self._objective(outputs, states, labels, seed)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(value.total, [v.value for v in variables]), variables)
        student_mass, teacher_mass = self._objective.updated_masses(value.layer_costs)
        self.student_mass.assign(student_mass)
        self.teacher_mass.assign(teacher_mass)
        values = {"loss": value.total, **value.parts()}
        means = (self._positions_loss, *self._parts)
        for metric in means:
            metric.update_state(values[metric.name])
        self._plan.update_state(value.plan)
        return self._results(means)

    def layer_record(self) -> dict[str, float]:
        """The mean plan of the epoch and the masses, number by number; where layers are matched."""
        if not self._matches_layers:
            return {}
        arrays = {
            "plan": self._plan.result(),
            "student_mass": self.student_mass,
            "teacher_mass": self.teacher_mass,
        }
        return {
            f"{name}[{','.join(str(place + 1) for place in places)}]": float(value)
            for name, array in arrays.items()
            for places, value in np.ndenumerate(np.asarray(array))
        }

    def _training_feed(self, train: Histories, **options: Any) -> EpochFeed:
        # Windows of whole histories are cut elsewhere in every epoch: nothing to keep.
        reader = self._read_teacher(train, keeps=options["windows"] == "last")
        epoch_batches = super()._training_feed(train, **options).epoch_batches
        if isinstance(reader, OnlineTeacher):
            ask = reader.ask
            return _LayerFeed(
                epoch_batches, extended=lambda ids, labels: (ids, (labels, ask(ids, labels)))
            )
        return _LayerFeed(
            epoch_batches,
            lambda batch: (batch.item_ids, (batch.labels, reader.states(batch))),
            (IDS, (IDS, self._objective.teacher_signature)),
        )


class _LayerFeed(EpochFeed):
    """Adds to the logs of an epoch how layers were matched."""

    _record: dict[str, float] | None = None

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_begin(logs)
        self._record = self.model.layer_record()  # Keras sets the metrics back for validation

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        if logs is not None:
            logs.update(self._record or self.model.layer_record())
