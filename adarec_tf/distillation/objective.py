"""What a student is trained for: its own task and its teacher, in the search and after it.

Holds the state that distillation needs beside the student (projections to the width of the teacher,
layer masses); the loops assign the masses and save the state. None of it is exported.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.distillation.emd import (
    emd_loss,
    ground_distance,
    mean_square,
    transport_plan,
    uniform_mass,
    uniform_plan,
    update_mass,
)
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.losses import (
    DistillationLosses,
    Scores,
    embedding_loss,
    logits_losses,
)
from adarec_tf.distillation.sampled_logits import (
    candidate_scores,
    draw_candidates,
    sampled_logits_losses,
    stratum_starts,
)
from adarec_tf.distillation.teacher_cache import TeacherStates, teacher_states
from adarec_tf.models.losses import labeled_positions, softmax_loss
from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs
from adarec_tf.training.devices import num_replicas, sum_over_replicas

NUM_SAMPLED_ITEMS = 512  # of the catalog, where the logits are those of a sample


class ObjectiveValue(NamedTuple):
    """The objective on one batch, or on the part of it that is a replica's.

    The losses of parts add up to those of the batch; plan and costs are the batch's everywhere.

    Attributes:
      total: scalar float32, (1 - kd_weight) task + kd_weight (weighted distillation terms).
      task: scalar float32, next-item cross-entropy in nats.
      distillation: the distillation terms, unweighted; 0 where the weight is.
      plan: float32 [S, T], which student layer learns from which teacher layer.
      layer_costs: float32 [S, T], plan x ground distance: what moving each pair cost.
    """

    total: tf.Tensor
    task: tf.Tensor
    distillation: DistillationLosses
    plan: tf.Tensor
    layer_costs: tf.Tensor

    def parts(self) -> dict[str, tf.Tensor]:
        """The numbers to log, by name."""
        return {
            "task": self.task,
            "embedding_kd": self.distillation.embedding,
            "hidden_kd": self.distillation.hidden,
            "logits_kd": self.distillation.logits,
        }


class DistillationObjective:
    """Task and distillation losses of one student against one frozen teacher.

    Attributes:
      student_mass: float32 [S].
      teacher_mass: float32 [T].
    """

    def __init__(
        self,
        student_embedding: SequenceEmbedding,
        num_student_layers: int,
        teacher: keras.Model | EnsembleTeacher,
        config: DistillationConfig,
        compute_dtype: str = "float32",
    ) -> None:
        """Creates the projections and the masses.

        Args:
          student_embedding: the student's tied embedding.
          num_student_layers: hidden states of the student.
          teacher: built.
          config: the terms and their weights.
          compute_dtype: of the catalog logits.
        """
        self._student_embedding = student_embedding
        self._teacher = teacher
        self._config = config
        self._compute_dtype = compute_dtype
        outputs = teacher(tf.zeros([1, 1], tf.int64), training=False)
        num_teacher_layers = len(outputs.hidden_states)
        self._teacher_items = teacher.sequence_embedding.item_vectors()  # frozen: gathered once
        self._stratum_starts = stratum_starts(student_embedding.num_items, NUM_SAMPLED_ITEMS)
        self._embedding_projection = self._projections(1, outputs.embedding)
        self._hidden_projections = self._projections(num_student_layers, outputs.hidden_states[0])
        self._fixed_plan = (
            tf.constant(uniform_plan(num_student_layers, num_teacher_layers))
            if config.hidden_mapping == "uniform"
            else None
        )
        self.student_mass, self.teacher_mass = map(
            _mass_variable, (num_student_layers, num_teacher_layers)
        )

    def _projections(self, number: int, teacher_states: tf.Tensor) -> list[keras.layers.Dense]:
        """Learned maps of the student's states to the width of the teacher's."""
        projections = [keras.layers.Dense(int(teacher_states.shape[-1])) for _ in range(number)]
        for projection in projections:
            projection.build((None, self._student_embedding.hidden_dim))
        return projections

    @property
    def teacher_signature(self) -> TeacherStates:
        """The type of the teacher's states, for a compiled step; its best items may be missing."""
        label = tf.ones([1, 1], tf.int64)
        signature = tf.nest.map_structure(
            lambda states: tf.TensorSpec([None, states.shape[-1]], states.dtype),
            self.teacher_states(label, label),
        )
        return signature._replace(top_items=tf.TensorSpec([None, None], tf.int32))

    @property
    def projections(self) -> list[keras.layers.Dense]:
        """Those whose terms count."""
        return [
            *(self._embedding_projection if self._config.embedding_weight > 0 else []),
            *(self._hidden_projections if self._config.hidden_weight > 0 else []),
        ]

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The weights of the projections whose terms count."""
        return [v for projection in self.projections for v in projection.trainable_variables]

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything a checkpoint must hold."""
        return [*self.trainable_variables, self.student_mass, self.teacher_mass]

    def teacher_states(self, item_ids: tf.Tensor, labels: tf.Tensor) -> TeacherStates:
        """The frozen teacher's states at the labeled positions of a batch.

        Args:
          item_ids: int64 [B, L].
          labels: int64 [B, L], PAD where there is none.
        """
        config = self._config
        return teacher_states(
            self._teacher, item_ids, labels, config.num_kept_items, config.reads_layers
        )

    def __call__(
        self,
        student_outputs: SequenceOutputs,
        teacher: TeacherStates,
        labels: tf.Tensor,
        seed: tf.Tensor | tuple[int, int] = (0, 0),
        share: tf.Tensor | float = 1.0,
    ) -> ObjectiveValue:
        """Compares the student with the labels and the teacher at the labeled positions.

        Args:
          student_outputs: of the batch.
          teacher: its states at the labeled positions of the same batch; constants.
          labels: int64 [B, L], PAD where there is none.
          seed: int [2], of the items that are sampled, if any.
          share: of the whole batch's labeled positions, where this is the part of a replica.

        Returns:
          The objective; masses are read, never changed.
        """
        positions = labeled_positions(labels)

        def at_labels(states: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            return [tf.gather_nd(state, positions.indices) for state in states]

        [final_states] = at_labels([student_outputs.final_states])
        task, divergence = self._logits_terms(final_states, positions.labels, teacher, seed)
        hidden, plan, layer_costs = self._hidden_term(
            at_labels(student_outputs.hidden_states), teacher, share
        )
        embedding = self._embedding_term(at_labels([student_outputs.embedding]), teacher)
        task, embedding, divergence = (share * mean for mean in (task, embedding, divergence))
        losses = DistillationLosses(embedding, hidden, divergence)
        return ObjectiveValue(self._total(task, losses), task, losses, plan, layer_costs)

    def _logits_terms(
        self,
        states: tf.Tensor,
        labels: tf.Tensor,
        teacher: TeacherStates,
        seed: tf.Tensor | tuple[int, int],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        config = self._config
        if config.logits_items == "sampled":
            return self._sampled_logits_terms(states, labels, teacher, seed)
        if config.logits_weight == 0:
            task = softmax_loss(
                self._student_embedding, states, labels, compute_dtype=self._compute_dtype
            )
            return task, tf.constant(0.0)
        losses = logits_losses(
            Scores(states, self._student_embedding.item_vectors()),
            labels,
            Scores(teacher.final_states, self._teacher_items),
            compute_dtype=self._compute_dtype,
        )
        return losses.task, losses.divergence

    def _sampled_logits_terms(
        self,
        states: tf.Tensor,
        labels: tf.Tensor,
        teacher: TeacherStates,
        seed: tf.Tensor | tuple[int, int],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        candidates = draw_candidates(labels, teacher.top_items, self._stratum_starts, seed)
        student_scores = candidate_scores(
            states, *map(self._student_embedding.item_rows, (candidates.own, candidates.shared))
        )
        rows = [tf.gather(self._teacher_items, ids - 1) for ids in candidates[::2]]
        losses = sampled_logits_losses(
            student_scores,
            candidate_scores(teacher.final_states, *rows),
            candidates,
        )
        return losses.task, losses.divergence

    def _embedding_term(self, states: Sequence[tf.Tensor], teacher: TeacherStates) -> tf.Tensor:
        if self._config.embedding_weight == 0:
            return tf.constant(0.0)
        [projected] = _project(self._embedding_projection, states)
        return embedding_loss(projected, teacher.embedding)

    def _hidden_term(
        self, states: Sequence[tf.Tensor], teacher: TeacherStates, share: tf.Tensor | float
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The share's cost, and of the whole batch the plan and what each pair paid [S, T]."""
        if self._config.hidden_weight == 0:
            nothing = tf.zeros([len(states), self.teacher_mass.shape[0]])
            return tf.constant(0.0), nothing, nothing
        teacher_states = tf.stack(teacher.hidden_states)
        distance = share * ground_distance(
            tf.stack(_project(self._hidden_projections, states)),
            teacher_states,
            self._config.ground_distance,
            self._whole_mean_square(teacher_states, share),
        )
        whole_distance = sum_over_replicas(tf.stop_gradient(distance))
        plan = self._plan(whole_distance)
        return emd_loss(plan, distance), plan, plan * whole_distance

    def _whole_mean_square(
        self, teacher_states: tf.Tensor, share: tf.Tensor | float
    ) -> tf.Tensor | None:
        """The unit of `mse`: of all replicas; None where there is one, or another distance."""
        if self._config.ground_distance != "mse" or num_replicas() == 1:
            return None
        return sum_over_replicas(share * mean_square(teacher_states))

    def _plan(self, distance: tf.Tensor) -> tf.Tensor:
        if self._fixed_plan is not None:
            return self._fixed_plan
        return transport_plan(self.student_mass, self.teacher_mass, distance)

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
        # A fixed mapping moves no mass, and a term without weight has no costs.
        if self._fixed_plan is not None or self._config.hidden_weight == 0:
            return tf.identity(self.student_mass), tf.identity(self.teacher_mass)
        return (
            update_mass(self.student_mass, tf.reduce_sum(layer_costs, axis=1)),
            update_mass(self.teacher_mass, tf.reduce_sum(layer_costs, axis=0)),
        )


def _mass_variable(num_layers: int) -> keras.Variable:
    """Equal masses; all replicas assign the same."""
    return keras.Variable(
        uniform_mass(num_layers), trainable=False, aggregation="only_first_replica"
    )


def _project(
    projections: Sequence[keras.layers.Dense], states: Sequence[tf.Tensor]
) -> list[tf.Tensor]:
    return [layer(state) for layer, state in zip(projections, states, strict=True)]
