"""The two steps of the bi-level problem: weights on one half of the users, alphas on the other.

    min over alphas of  L_alpha(w*(alphas), alphas)
    where  w*(alphas) = argmin over w of  L_weight(w, alphas)

w* is taken as the current weights (first order), so each step is a plain gradient on its own
variables. That of the alphas is estimated from the losses of some architectures (see
`score_gradient`).
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from adarec_tf.search.bilevel.score_gradient import compared_loss
from adarec_tf.search.bilevel.state import (
    SearchBatch,
    SearchState,
    part_of_replica,
    search_loss,
)
from adarec_tf.search.cost.budget import Budget, expected_overrun
from adarec_tf.search.cost.cost import Prices, expected_cost
from adarec_tf.search.space.alphas import (
    ArchitectureLogits,
    SampledArchitecture,
    sample_architecture,
)
from adarec_tf.search.space.depth import active_rows, expected_student
from adarec_tf.training.devices import num_replicas, on_replicas, sum_over_replicas

# A step changes the state for a batch, and returns the parts of the loss.
SearchStep = Callable[[SearchBatch], dict[str, tf.Tensor]]
_NUM_COMPARED = 4  # architectures that are tried on a batch


def build_weight_step(state: SearchState) -> SearchStep:
    """The inner step: one update of the weights, for an architecture drawn from the alphas.

    Args:
      state: what is searched; replicas of the strategy it was created under share each batch.

    Returns:
      A compiled function of a batch, which leaves the alphas bit-identical and returns the parts
      of the loss.
    """
    variables = state.weights

    def weight_step(whole_batch: SearchBatch) -> dict[str, tf.Tensor]:
        batch = part_of_replica(whole_batch)
        architecture = sample_architecture(state.architecture_logits(), batch.seed)
        with tf.GradientTape() as tape:
            value = search_loss(state, architecture, batch, training=True)
        gradients = tape.gradient(
            value.total,
            [v.value for v in variables],
            # An operation that was not drawn stays where it is, but for its optimizer's momentum.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        state.weight_optimizer.apply(gradients, variables)
        student_mass, teacher_mass = state.objective.updated_masses(value.layer_costs)
        state.objective.student_mass.assign(student_mass)
        state.objective.teacher_mass.assign(teacher_mass)
        return value.parts()

    return _compiled(state, weight_step)


def build_alpha_step(
    state: SearchState,
    prices: Prices,
    budgets: Sequence[Budget] = (),
    *,
    cost_weight: float,
) -> SearchStep:
    """The outer step: one update of the alphas, on users the weights were not trained on.

    Args:
      state: what is searched; replicas of the strategy it was created under share each batch.
      prices: of operations and cells, in units of the teacher's encoder.
      budgets: of the student; an overrun is in the loss with its full weight.
      cost_weight: β, weight of the cost.

    Returns:
      A compiled function of a batch, which leaves the weights bit-identical and returns the parts
      of the loss.
    """
    variables = [state.alphas, state.depth_alphas]

    def alpha_step(whole_batch: SearchBatch) -> dict[str, tf.Tensor]:
        batch = part_of_replica(whole_batch)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            architecture_logits = state.architecture_logits()
            total, task = _compared(state, architecture_logits, batch)
            # Anew for cost and budgets: one softmax for both rounds their gradients otherwise than
            # the searches did whose genotypes are stored.
            expected = functools.partial(expected_student, *architecture_logits, **_size(state))
            # What all replicas know is shared equally.
            parts = {
                "alpha_task": task,
                "cost": expected_cost(expected(), prices) / num_replicas(),
            }
            total += cost_weight * parts["cost"]
            if budgets:
                parts["overrun"] = expected_overrun(expected(), budgets) / num_replicas()
                total += parts["overrun"]
        gradients = tape.gradient(
            total,
            [v.value for v in variables],
            # One depth is no choice.
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        state.alpha_optimizer.apply(gradients, variables)
        return parts

    return _compiled(state, alpha_step)


def _compiled(state: SearchState, step: SearchStep) -> SearchStep:
    ids, share = tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([], tf.float32)
    seed = tf.TensorSpec([2], tf.int32)
    signature = SearchBatch(ids, ids, state.objective.teacher_signature, seed, share)
    return tf.function(
        on_replicas(state.supernet.distribute_strategy, step),
        input_signature=[signature],
        autograph=False,
    )


def _size(state: SearchState) -> dict[str, int]:
    cells = state.supernet.cells
    return {"num_cells": len(cells), "num_cell_edges": len(cells[0].ends)}


def _compared(
    state: SearchState, architecture_logits: ArchitectureLogits, batch: SearchBatch
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean loss, with its gradient in the logits, and mean task loss of architectures drawn.

    Both are the replica's parts of these.
    """

    def judge(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        seed = batch.seed + tf.stack([0, number])
        drawn = sample_architecture(architecture_logits, seed)
        # Without dropout: its noise would drown the difference between two operations.
        value = search_loss(state, drawn, batch, training=False)
        return drawn.operations, drawn.num_absent, value.total, value.task

    operations, num_absent, losses, tasks = _map(judge, _NUM_COMPARED)
    num_rows = architecture_logits.operations.shape[0]
    is_there = active_rows(num_absent, num_rows=num_rows, **_size(state))
    drawn = SampledArchitecture(operations, num_absent)
    whole = sum_over_replicas(losses)
    loss = compared_loss(architecture_logits, drawn, is_there, whole) / num_replicas()
    return loss, tf.reduce_mean(tasks)


def _map(judge: Callable[[tf.Tensor], tuple[tf.Tensor, ...]], count: int) -> list[tf.Tensor]:
    """The results for each number below `count`, stacked."""
    if num_replicas() > 1:
        # Replicas cannot wait for each other inside a loop.
        judged = [judge(tf.constant(number)) for number in range(count)]
        return [tf.stack(values) for values in zip(*judged, strict=True)]
    # A loop: one trace of the network, and the states of one architecture at a time.
    return tf.map_fn(
        judge,
        tf.range(count),
        fn_output_signature=(tf.int32, tf.int32, tf.float32, tf.float32),
        parallel_iterations=1,
    )
