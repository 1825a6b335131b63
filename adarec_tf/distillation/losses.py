"""The terms of the distillation loss: pure functions, each a mean over real positions."""

from typing import NamedTuple

import tensorflow as tf


class DistillationLosses(NamedTuple):
    """The parts of the distillation loss, unweighted.

    Attributes:
      embedding: scalar float32, mean squared difference of the embeddings.
      hidden: scalar float32, Earth Mover's Distance between the layers.
      logits: scalar float32, KL(teacher || student) over the catalogue, in nats.
    """

    embedding: tf.Tensor
    hidden: tf.Tensor
    logits: tf.Tensor


def embedding_loss(student_embedding: tf.Tensor, teacher_embedding: tf.Tensor) -> tf.Tensor:
    """Mean squared difference.

    Args:
      student_embedding: float32 [N, D], projected to the teacher's width, at real positions.
      teacher_embedding: float32 [N, D].

    Returns:
      Scalar float32.
    """
    return tf.reduce_mean(tf.math.squared_difference(student_embedding, teacher_embedding))


def logits_loss(
    student_logits: tf.Tensor, teacher_logits: tf.Tensor, kd_temperature: float
) -> tf.Tensor:
    """KL of the teacher's next-item distribution from the student's, mean over positions.

    The released code divides by the batch size alone, so its term grows with the history's length.

    Args:
      student_logits: float32 [N, num_items].
      teacher_logits: float32 [N, num_items].
      kd_temperature: both are divided by it; the result is multiplied by its square, so that the
        gradient keeps its size (Hinton et al., arXiv:1503.02531).

    Returns:
      Scalar float32, in nats.
    """
    teacher_log = tf.nn.log_softmax(teacher_logits / kd_temperature)
    student_log = tf.nn.log_softmax(student_logits / kd_temperature)
    divergence = tf.reduce_sum(tf.exp(teacher_log) * (teacher_log - student_log), axis=-1)
    return tf.reduce_mean(divergence) * kd_temperature**2
