"""The two steps of the bi-level problem: weights on one half of the users, alphas on the other.

    min over alphas of  L_alpha(w*(alphas), alphas)
    where  w*(alphas) = argmin over w of  L_weight(w, alphas)

First order: w* is taken as the current weights, so each step is a plain gradient on its own
variables.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from adarec_tf.distillation.objective import DistillationObjective, ObjectiveValue
from adarec_tf.distillation.teacher_cache import TeacherStates
from adarec_tf.search.alphas import SampledEdges, sample_edges
from adarec_tf.search.cost import expected_cost
from adarec_tf.search.supernet import Supernet
from adarec_tf.search_config import SearchConfig
from adarec_tf.training_loop import apply_gradients


class SearchBatch(NamedTuple):
    """What a step is given.

    Attributes:
      item_ids: int64 [B, L].
      labels: int64 [B, L], PAD where there is none.
      teacher: its states at the labelled positions; constants.
      seed: int32 [2], of what the step draws.
    """

    item_ids: tf.Tensor
    labels: tf.Tensor
    teacher: TeacherStates
    seed: tf.Tensor


SearchStep = Callable[[SearchBatch], dict[str, tf.Tensor]]


class SearchState(NamedTuple):
    """Everything the search changes.

    Attributes:
      supernet: its weights are updated by `weight_step` only.
      objective: its projections likewise; its masses after each weight step.
      alphas: float32 [E, O], updated by `alpha_step` only.
      weight_optimizer: built for the weights.
      alpha_optimizer: built for the alphas.
    """

    supernet: Supernet
    objective: DistillationObjective
    alphas: keras.Variable
    weight_optimizer: keras.optimizers.Optimizer
    alpha_optimizer: keras.optimizers.Optimizer

    @property
    def weights(self) -> list[keras.Variable]:
        """The weights: every trainable variable but the alphas."""
        return [*self.supernet.trainable_variables, *self.objective.trainable_variables]

    @property
    def variables(self) -> list[keras.Variable | tf.Variable]:
        """Everything a checkpoint must hold."""
        return [
            *self.supernet.variables,
            *self.objective.variables,
            self.alphas,
            *self.weight_optimizer.variables,
            *self.alpha_optimizer.variables,
        ]


def search_loss(
    state: SearchState, sampled: SampledEdges, batch: SearchBatch, *, training: bool
) -> ObjectiveValue:
    """Task and distillation loss of one sampled student on a batch, without the cost.

    Args:
      state: supernet and objective.
      sampled: the architecture.
      batch: positions, labels, and what the teacher says about them.
      training: whether dropout is on.

    Returns:
      The objective.
    """
    outputs = state.supernet(batch.item_ids, sampled, training=training)
    return state.objective(outputs, batch.teacher, batch.labels)


def build_weight_step(state: SearchState, config: SearchConfig) -> SearchStep:
    """The inner step: one update of the weights for one sampled architecture.

    Returns:
      A compiled function of a batch, which leaves the alphas bit-identical and returns the parts
      of the loss.
    """
    variables = state.weights

    def weight_step(batch: SearchBatch) -> dict[str, tf.Tensor]:
        alphas = tf.convert_to_tensor(state.alphas)
        sampled = sample_edges(alphas, batch.seed, config.gumbel_temperature)
        with tf.GradientTape() as tape:
            value = search_loss(state, sampled, batch, training=True)
        gradients = tape.gradient(
            value.total,
            [v.value for v in variables],
            # An operation that was not drawn stays where it is, but for its optimiser's momentum.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        apply_gradients(state.weight_optimizer, gradients, variables)
        student_mass, teacher_mass = state.objective.updated_masses(value.layer_costs)
        state.objective.student_mass.assign(student_mass)
        state.objective.teacher_mass.assign(teacher_mass)
        return value.parts()

    return _compiled(weight_step, state)


def build_alpha_step(state: SearchState, config: SearchConfig, prices: tf.Tensor) -> SearchStep:
    """The outer step: one update of the alphas, on users the weights were not trained on.

    Args:
      state: what is searched.
      config: temperature and the weight of the cost.
      prices: float32 [O], of each operation, in units of the teacher's encoder.

    Returns:
      A compiled function of a batch, which leaves the weights bit-identical and returns the parts
      of the loss.
    """

    def alpha_step(batch: SearchBatch) -> dict[str, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.alphas.value)
            alphas = tf.convert_to_tensor(state.alphas)
            sampled = sample_edges(alphas, batch.seed, config.gumbel_temperature)
            # Without dropout: its noise would drown the difference between two operations.
            value = search_loss(state, sampled, batch, training=False)
            cost = expected_cost(alphas, prices)
            total = value.total + config.cost_weight * cost
        state.alpha_optimizer.apply([tape.gradient(total, state.alphas.value)], [state.alphas])
        return {"alpha_task": value.task, "cost": cost}

    return _compiled(alpha_step, state)


def _compiled(step: SearchStep, state: SearchState) -> SearchStep:
    ids = tf.TensorSpec([None, None], tf.int64)
    signature = SearchBatch(
        ids, ids, state.objective.teacher_signature, tf.TensorSpec([2], tf.int32)
    )
    return tf.function(step, input_signature=[signature])
