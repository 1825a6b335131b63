"""What a student is trained for: its own task and its teacher, in the search and after it.

Holds the state that distillation needs beside the student (projections to the width of the teacher,
layer masses); the loops assign the masses and save the state. None of it is exported.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from adarec_tf.config import DistillationConfig
from adarec_tf.distillation.emd import (
    emd_loss,
    ground_distance,
    transport_plan,
    uniform_mass,
    update_mass,
)
from adarec_tf.distillation.losses import DistillationLosses, embedding_loss, logits_loss
from adarec_tf.next_item_loss import cross_entropy, labelled_positions
from adarec_tf.sequence_model import SequenceEmbedding, SequenceOutputs


class ObjectiveValue(NamedTuple):
    """The objective on one batch.

    Attributes:
      total: scalar float32, (1 - kd_weight) task + kd_weight (weighted distillation terms).
      task: scalar float32, next-item cross-entropy in nats.
      distillation: the distillation terms, unweighted.
      layer_costs: float32 [S, T], plan x ground distance: what moving each pair cost.
    """

    total: tf.Tensor
    task: tf.Tensor
    distillation: DistillationLosses
    layer_costs: tf.Tensor

    def parts(self) -> dict[str, tf.Tensor]:
        """The scalars to log, by name."""
        return {
            "task": self.task,
            "embedding_kd": self.distillation.embedding,
            "hidden_kd": self.distillation.hidden,
            "logits_kd": self.distillation.logits,
        }


class DistillationObjective:
    """Task and distillation losses of one student against one frozen teacher.

    Attributes:
      projections: learned maps of the student's embedding and layers to the teacher's width.
      student_mass: float32 [S].
      teacher_mass: float32 [T].
    """

    def __init__(
        self,
        student_embedding: SequenceEmbedding,
        num_student_layers: int,
        teacher: keras.Model,
        config: DistillationConfig,
    ) -> None:
        """Args: the student's tied embedding and layers, a built teacher, the terms' weights."""
        self._student_embedding = student_embedding
        self._teacher = teacher
        self._config = config
        teacher_outputs = self.teacher_outputs(tf.zeros([1, 1], tf.int64))
        teacher_dim = int(teacher_outputs.embedding.shape[-1])
        self.projections = [
            keras.layers.Dense(teacher_dim, name=f"projection_{index}")
            for index in range(num_student_layers + 1)
        ]
        for projection in self.projections:
            projection.build((None, student_embedding.hidden_dim))
        num_teacher_layers = len(teacher_outputs.hidden_states)
        self.student_mass = tf.Variable(uniform_mass(num_student_layers), trainable=False)
        self.teacher_mass = tf.Variable(uniform_mass(num_teacher_layers), trainable=False)

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The projections' weights."""
        return [v for projection in self.projections for v in projection.trainable_variables]

    @property
    def variables(self) -> list[keras.Variable | tf.Variable]:
        """Everything a checkpoint must hold."""
        return [*self.trainable_variables, self.student_mass, self.teacher_mass]

    def teacher_outputs(self, item_ids: tf.Tensor) -> SequenceOutputs:
        """The frozen teacher's outputs for int64 [B, L] ids."""
        return self._teacher(item_ids, training=False)

    def __call__(
        self, student_outputs: SequenceOutputs, teacher_outputs: SequenceOutputs, labels: tf.Tensor
    ) -> ObjectiveValue:
        """Compares the student with the labels and the teacher at the labelled positions.

        Args:
          student_outputs: of the batch.
          teacher_outputs: of the same batch; constants.
          labels: int64 [B, L], PAD where there is none.

        Returns:
          The objective; masses are read, never changed.
        """
        positions = labelled_positions(labels)

        def at_labels(states: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            return [tf.gather_nd(state, positions.indices) for state in states]

        student_logits = self._student_embedding.item_logits(
            *at_labels([student_outputs.final_states])
        )
        task = cross_entropy(student_logits, positions.labels)
        student_states = [
            projection(state)
            for projection, state in zip(
                self.projections,
                at_labels([student_outputs.embedding, *student_outputs.hidden_states]),
                strict=True,
            )
        ]
        teacher_states = [
            tf.stop_gradient(state)
            for state in at_labels([teacher_outputs.embedding, *teacher_outputs.hidden_states])
        ]
        distance = ground_distance(
            tf.stack(student_states[1:]), tf.stack(teacher_states[1:]), self._config.ground_distance
        )
        plan = transport_plan(self.student_mass, self.teacher_mass, distance)
        teacher_logits = self._teacher.sequence_embedding.item_logits(
            *at_labels([teacher_outputs.final_states])
        )
        losses = DistillationLosses(
            embedding_loss(student_states[0], teacher_states[0]),
            emd_loss(plan, distance),
            logits_loss(
                student_logits, tf.stop_gradient(teacher_logits), self._config.kd_temperature
            ),
        )
        return ObjectiveValue(self._total(task, losses), task, losses, plan * distance)

    def _total(self, task: tf.Tensor, losses: DistillationLosses) -> tf.Tensor:
        config = self._config
        distillation = (
            config.embedding_weight * losses.embedding
            + config.hidden_weight * losses.hidden
            + config.logits_weight * losses.logits
        )
        return (1.0 - config.kd_weight) * task + config.kd_weight * distillation

    def updated_masses(self, layer_costs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The masses after a batch whose `ObjectiveValue.layer_costs` are given: [S] and [T]."""
        config = self._config
        student, teacher = (
            update_mass(
                mass,
                tf.reduce_sum(layer_costs, axis=axis),
                kind=config.mass_update,
                temperature=config.mass_temperature,
                momentum=config.mass_momentum,
            )
            for mass, axis in ((self.student_mass, 1), (self.teacher_mass, 0))
        )
        return student, teacher
