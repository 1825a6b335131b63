"""The loss a teacher is trained with, as its config names it."""

from collections.abc import Callable

import tensorflow as tf

from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.models.sequence_model import SequenceEmbedding
from adarec_tf.training.next_item_loss import softmax_loss
from adarec_tf.training.sampled_loss import (
    frequency_sampler,
    gbce_loss,
    sampled_softmax_loss,
    uniform_sampler,
)

# Final states (float32 [N, D]) and labels (int64 [N]) of the step (int64 scalar) to a scalar.
TaskLoss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def task_loss(
    embedding: SequenceEmbedding, train: Histories, config: TrainingConfig, seed: int
) -> TaskLoss:
    """Builds the loss.

    Args:
      embedding: holds the tied item table.
      train: whose item frequencies the sampled softmax draws by.
      config: which loss, and its parameters.
      seed: of the negatives.

    Returns:
      A function for use inside a `tf.function`.
    """
    if config.loss == "sampled_softmax":
        return _sampled_softmax(embedding, train, config.num_negatives, seed)
    if config.loss == "gbce":
        return _gbce(embedding, config, seed)
    return lambda states, labels, step: softmax_loss(
        embedding,
        states,
        labels,
        smoothing=config.label_smoothing,
        compute_dtype=config.compute_dtype,
    )


def _sampled_softmax(
    embedding: SequenceEmbedding, train: Histories, num_negatives: int, seed: int
) -> TaskLoss:
    sampler = frequency_sampler(train.item_ids, embedding.num_items, num_negatives, seed)
    return lambda states, labels, step: sampled_softmax_loss(
        embedding, states, labels, sampler.draw(step), sampler.probability
    )


def _gbce(embedding: SequenceEmbedding, config: TrainingConfig, seed: int) -> TaskLoss:
    sampler = uniform_sampler(embedding.num_items, config.num_negatives, seed)
    return lambda states, labels, step: gbce_loss(
        embedding, states, labels, sampler.draw(step), config.gbce_calibration
    )
