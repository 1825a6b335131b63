"""What a search changes, what its steps are given, and the loss both of them go by."""

from typing import NamedTuple

import keras
import tensorflow as tf

from adarec_tf.distillation.objective import DistillationObjective, ObjectiveValue
from adarec_tf.distillation.teacher_cache import TeacherStates
from adarec_tf.search.space.alphas import ArchitectureLogits, SampledArchitecture
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.training.devices import num_replicas, rows_of_replica


class SearchState(NamedTuple):
    """Everything the search changes.

    Attributes:
      supernet: its weights are updated by `weight_step` only.
      objective: its projections likewise; its masses after each weight step.
      alphas: float32 [E, O], updated by `alpha_step` only.
      depth_alphas: float32 [N], likewise; of leaving out 0 to N - 1 of the topmost cells.
      weight_optimizer: built for the weights.
      alpha_optimizer: built for the alphas.
    """

    supernet: Supernet
    objective: DistillationObjective
    alphas: keras.Variable
    depth_alphas: keras.Variable
    weight_optimizer: keras.optimizers.Optimizer
    alpha_optimizer: keras.optimizers.Optimizer

    @property
    def weights(self) -> list[keras.Variable]:
        """The weights: every trainable variable but the alphas."""
        return [*self.supernet.trainable_variables, *self.objective.trainable_variables]

    def architecture_logits(self) -> ArchitectureLogits:
        """The logits that architectures are drawn from, inside a step."""
        return ArchitectureLogits(
            tf.convert_to_tensor(self.alphas), tf.convert_to_tensor(self.depth_alphas)
        )

    @property
    def variables(self) -> list[keras.Variable | tf.Variable]:
        """Everything a checkpoint must hold."""
        return [
            *self.supernet.variables,
            *self.objective.variables,
            self.alphas,
            self.depth_alphas,
            *self.weight_optimizer.variables,
            *self.alpha_optimizer.variables,
        ]


class SearchBatch(NamedTuple):
    """What a step is given.

    Attributes:
      item_ids: int64 [B, L].
      labels: int64 [B, L], PAD where there is none.
      teacher: its states at the labeled positions; constants.
      seed: int32 [2], of what the step draws.
      share: scalar float32, of the labeled positions of a whole batch: 1 if this is one.
    """

    item_ids: tf.Tensor
    labels: tf.Tensor
    teacher: TeacherStates
    seed: tf.Tensor
    share: tf.Tensor


def part_of_replica(batch: SearchBatch) -> SearchBatch:
    """What the replica that asks computes of a whole batch."""
    if num_replicas() == 1:
        return batch
    own = rows_of_replica(batch.labels)
    return SearchBatch(
        tf.gather(batch.item_ids, own.rows),
        tf.gather(batch.labels, own.rows),
        tf.nest.map_structure(lambda states: tf.gather(states, own.positions), batch.teacher),
        batch.seed,
        own.share,
    )


def search_loss(
    state: SearchState, architecture: SampledArchitecture, batch: SearchBatch, *, training: bool
) -> ObjectiveValue:
    """Task and distillation loss of one student on a batch, without the cost.

    Args:
      state: supernet and objective.
      architecture: the student's.
      batch: positions, labels, and what the teacher says about them.
      training: whether dropout is on.

    Returns:
      The objective; the losses of a part of a batch are to be summed over its parts.
    """
    outputs = state.supernet(batch.item_ids, architecture, training=training)
    return state.objective(outputs, batch.teacher, batch.labels, seed=batch.seed, share=batch.share)
