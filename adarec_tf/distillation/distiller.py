"""Training of the final student against its frozen teacher.

The released code fine-tunes the derived student with cross-entropy alone; here the teacher stays.
"""

import os
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.batches import Batch, count_batches, next_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.initial_table import initialize_table
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.distillation.teacher_cache import (
    MAX_CACHE_BYTES,
    TeacherStates,
    read_teacher,
)
from adarec_tf.evaluation.protocols import evaluate_full, model_scorer
from adarec_tf.models.students import Genotype, Student, build_student
from adarec_tf.training.fit import EpochRecord, FitTask, apply_gradients, build_optimizer, fit
from adarec_tf.training.warm_start import warm_start_from

# Item ids and labels [B, L], and the teacher's states at the labels.
_DistillationStep = Callable[[tf.Tensor, tf.Tensor, TeacherStates], dict[str, tf.Tensor]]


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
    log_dir: str,
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
        max_length=statistics.max_length,
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
    student: keras.Model,
    teacher: keras.Model | EnsembleTeacher,
    train: Histories,
    valid: Histories,
    config: DistillationConfig,
    *,
    max_length: int,
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
      max_length: items the models see.
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
      One record an epoch, with the parts of the loss, the mean transport plan (`plan[s,t]`) and
      the masses after it (`student_mass[s]`, `teacher_mass[t]`).

    Raises:
      ValueError: student and teacher know different numbers of items, there is nothing to train
        on, or a loss is not finite.
    """
    _check_same_items(student, teacher)
    if config.initial_table == "teacher":
        initialize_table(student.sequence_embedding, teacher.sequence_embedding)
    keras.utils.set_random_seed(seed)
    num_layers = len(student(tf.zeros([1, 1], tf.int64)).hidden_states)
    objective = DistillationObjective(
        student.sequence_embedding, num_layers, teacher, config, compute_dtype
    )

    def epoch_batches(epoch: int) -> Iterable[Batch]:
        return next_item_batches(
            train,
            max_length=max_length,
            positions_per_batch=config.positions_per_batch,
            seed=seed,
            epoch=epoch,
            windows=windows,
        )

    variables = [*student.trainable_variables, *objective.trainable_variables]
    optimizer = build_optimizer(
        variables,
        learning_rate=config.learning_rate,
        num_steps=count_batches(epoch_batches(0)) * config.max_epochs,
    )
    step = _train_step(student, objective, optimizer, variables, seed)
    reader = read_teacher(
        teacher,
        train,
        max_length=max_length,
        directory=os.path.join(checkpoint_dir, "teacher_states"),
        # Windows of whole histories are cut elsewhere in every epoch.
        max_bytes=max_cache_bytes if windows == "last" else 0,
        num_top_items=config.num_kept_items,
    )
    task = FitTask(
        stage="distillation",
        model=student,
        optimizer=optimizer,
        train_step=lambda batch: step(
            tf.constant(batch.item_ids), tf.constant(batch.labels), reader.states(batch)
        ),
        epoch_batches=epoch_batches,
        validate=lambda: evaluate_full(
            model_scorer(student),
            valid,
            num_items=student.sequence_embedding.num_items,
            max_length=max_length,
            seen=seen,
            cutoffs=(10,),
        ),
        extra_variables=objective.variables,
        start_counts=start_counts,
    )
    return fit(task, config, checkpoint_dir, log_dir)


def _check_same_items(student: keras.Model, teacher: keras.Model | EnsembleTeacher) -> None:
    sizes = [model.sequence_embedding.num_items for model in (student, teacher)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            "Student and teacher should know the same items. "
            f"Received: {sizes[0]} and {sizes[1]} items."
        )


def _train_step(
    student: keras.Model,
    objective: DistillationObjective,
    optimizer: keras.optimizers.Optimizer,
    variables: list[keras.Variable],
    seed: int,
) -> _DistillationStep:
    batch = tf.TensorSpec([None, None], tf.int64)

    @tf.function(input_signature=[batch, batch, objective.teacher_signature])
    def train_step(
        item_ids: tf.Tensor, labels: tf.Tensor, teacher: TeacherStates
    ) -> dict[str, tf.Tensor]:
        step = tf.cast(optimizer.iterations.value, tf.int64)
        with tf.GradientTape() as tape:
            outputs = student(item_ids, training=True)
            value = objective(outputs, teacher, labels, tf.stack([seed, step]))
        gradients = tape.gradient(value.total, [v.value for v in variables])
        apply_gradients(optimizer, gradients, variables)
        student_mass, teacher_mass = objective.updated_masses(value.layer_costs)
        objective.student_mass.assign(student_mass)
        objective.teacher_mass.assign(teacher_mass)
        return {
            **value.parts(),
            "plan": value.plan,
            "student_mass": student_mass,
            "teacher_mass": teacher_mass,
        }

    return train_step
