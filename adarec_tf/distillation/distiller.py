"""Training of the final student against its frozen teacher.

The released code fine-tunes the derived student with cross-entropy alone; here the teacher stays.
"""

from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from adarec_tf.config import DistillationConfig
from adarec_tf.data.batches import Batch, count_batches, next_item_batches
from adarec_tf.data.examples import Histories
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.metrics.protocols import evaluate_full, model_scorer
from adarec_tf.training_loop import EpochRecord, FitTask, apply_gradients, build_optimizer, fit


def distill_student(
    student: keras.Model,
    teacher: keras.Model,
    train: Histories,
    valid: Histories,
    config: DistillationConfig,
    *,
    max_length: int,
    seen: str,
    seed: int,
    checkpoint_dir: str,
    log_dir: str | None = None,
) -> list[EpochRecord]:
    """Trains a student with distillation; it ends with the best weights on validation.

    Args:
      student: a built sequence model.
      teacher: a trained sequence model over the same items; it is not changed.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects.
      config: the terms' weights and the fit loop.
      max_length: items the models see.
      seen: `exclude` or `keep`, for the validation metric.
      seed: of projections and the order of the batches; dropout follows the seed the student was
        built with.
      checkpoint_dir: where an interrupted training continues from.
      log_dir: where TensorBoard finds the records; None writes none.

    Returns:
      One record an epoch, with the parts of the loss.

    Raises:
      ValueError: student and teacher know different numbers of items, there is nothing to train
        on, or a loss is not finite.
    """
    sizes = [model.sequence_embedding.num_items for model in (student, teacher)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            "Student and teacher should know the same items. "
            f"Received: {sizes[0]} and {sizes[1]} items."
        )
    keras.utils.set_random_seed(seed)
    num_layers = len(student(tf.zeros([1, 1], tf.int64)).hidden_states)
    objective = DistillationObjective(student.sequence_embedding, num_layers, teacher, config)
    training = config.training()

    def epoch_batches(epoch: int) -> Iterable[Batch]:
        return next_item_batches(
            train,
            max_length=max_length,
            positions_per_batch=config.positions_per_batch,
            seed=seed,
            epoch=epoch,
        )

    variables = [*student.trainable_variables, *objective.trainable_variables]
    optimizer = build_optimizer(training, count_batches(epoch_batches(0)), variables)
    scorer = model_scorer(student)
    task = FitTask(
        stage="distillation",
        model=student,
        optimizer=optimizer,
        train_step=_train_step(student, objective, optimizer, variables),
        epoch_batches=epoch_batches,
        validate=lambda: evaluate_full(
            scorer, valid, num_items=sizes[0], max_length=max_length, seen=seen, cutoffs=(10,)
        ),
        extra_variables=objective.variables,
    )
    return fit(task, training, checkpoint_dir, log_dir)


def _train_step(
    student: keras.Model,
    objective: DistillationObjective,
    optimizer: keras.optimizers.Optimizer,
    variables: list[keras.Variable],
) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    signature = tf.TensorSpec([None, None], tf.int64)

    @tf.function(input_signature=[signature, signature])
    def train_step(item_ids: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        teacher_outputs = objective.teacher_outputs(item_ids)
        with tf.GradientTape() as tape:
            value = objective(student(item_ids, training=True), teacher_outputs, labels)
        gradients = tape.gradient(value.total, [v.value for v in variables])
        apply_gradients(optimizer, gradients, variables)
        student_mass, teacher_mass = objective.updated_masses(value.layer_costs)
        objective.student_mass.assign(student_mass)
        objective.teacher_mass.assign(teacher_mass)
        return value.parts()

    return train_step
