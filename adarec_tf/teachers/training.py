"""Training of a teacher: next-item cross-entropy at every position, selection by validation."""

import keras
import tensorflow as tf

from adarec_tf.config import TrainingConfig
from adarec_tf.data.examples import Histories, count_batches, next_item_batches
from adarec_tf.metrics.protocols import evaluate_full, model_scorer
from adarec_tf.next_item_loss import labelled_positions, next_item_loss
from adarec_tf.training_loop import EpochRecord, FitTask, apply_gradients, build_optimizer, fit


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
) -> list[EpochRecord]:
    """Trains a teacher; it ends with the weights that were best on the validation targets.

    Args:
      model: a built sequence model.
      train: histories with a label at every position but the first.
      valid: histories with the target that selects.
      config: the fit loop.
      max_length: items the model sees.
      seen: `exclude` or `keep`, for the validation metric.
      seed: of the order of the batches; dropout follows the seed the model was built with.
      checkpoint_dir: where an interrupted training continues from.

    Returns:
      One record an epoch.

    Raises:
      ValueError: the training split has no history of two or more items, or a loss is not finite.
    """

    def epoch_batches(epoch: int):  # type: ignore[no-untyped-def]
        return next_item_batches(
            train,
            max_length=max_length,
            positions_per_batch=config.positions_per_batch,
            seed=seed,
            epoch=epoch,
        )

    num_steps = count_batches(epoch_batches(0))
    scorer = model_scorer(model)
    optimizer = build_optimizer(config, num_steps, model.trainable_variables)
    task = FitTask(
        stage="teacher",
        model=model,
        optimizer=optimizer,
        train_step=_train_step(model, optimizer, config.label_smoothing),
        epoch_batches=epoch_batches,
        validate=lambda: evaluate_full(
            scorer,
            valid,
            num_items=model.sequence_embedding.num_items,
            max_length=max_length,
            seen=seen,
            cutoffs=(10,),
        ),
    )
    return fit(task, config, checkpoint_dir)


def _train_step(model: keras.Model, optimizer: keras.optimizers.Optimizer, smoothing: float):  # type: ignore[no-untyped-def]
    signature = tf.TensorSpec([None, None], tf.int64)

    @tf.function(input_signature=[signature, signature])
    def train_step(item_ids: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = model(item_ids, training=True)
            positions = labelled_positions(labels)
            states = tf.gather_nd(outputs.final_states, positions.indices)
            task_loss = next_item_loss(
                model.sequence_embedding, states, positions.labels, smoothing
            )
        variables = model.trainable_variables
        gradients = tape.gradient(task_loss, [v.value for v in variables])
        apply_gradients(optimizer, gradients, variables)
        return {"task": task_loss}

    return train_step
