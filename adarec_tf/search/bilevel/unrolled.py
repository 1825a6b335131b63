"""The loss of the alphas behind one step of the weights, for their second-order gradient."""

import keras
import tensorflow as tf

from adarec_tf.distillation.objective import ObjectiveValue
from adarec_tf.search.bilevel.state import SearchBatch, SearchState, search_loss
from adarec_tf.search.space.alphas import MixedEdges, SampledEdges
from adarec_tf.training.devices import sum_over_replicas


def unrolled_loss(
    state: SearchState,
    edges: SampledEdges | MixedEdges,
    alpha_batch: SearchBatch,
    weight_batch: SearchBatch,
) -> ObjectiveValue:
    """L_alpha(w - r dL_weight(w, alphas)/dw, alphas), differentiable in both places of the alphas.

    The step from w is one of plain gradient descent at the weights' present learning rate r, as in
    DARTS, without momentum and clipping. It is taken on tensors: no variable changes. The gradient
    is exact; DARTS approximates it by finite differences. Transport plans are constants in it, as
    they are in the first order. Without dropout, so that it is a function of its arguments.

    Args:
      state: what is searched; it is read only.
      edges: one architecture or the mixture, which carries the alphas' gradient, in both losses.
      alpha_batch: of the alphas' half.
      weight_batch: of the weights' half.

    Returns:
      The objective on the alphas' batch with the moved weights.

    Reference:
      Liu et al., arXiv:1806.09055v2, Eq. (6) and (7).
    """
    variables = state.weights
    with tf.GradientTape() as tape:
        inner = search_loss(state, edges, weight_batch, training=False)
    gradients = tape.gradient(
        inner.total,
        [v.value for v in variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    rate = tf.convert_to_tensor(state.weight_optimizer.learning_rate)
    whole = sum_over_replicas([tf.convert_to_tensor(gradient) for gradient in gradients])
    moved = [
        tf.ensure_shape(tf.convert_to_tensor(v) - rate * gradient, v.shape)
        for v, gradient in zip(variables, whole, strict=True)
    ]
    with keras.StatelessScope(state_mapping=list(zip(variables, moved, strict=True))):
        return search_loss(state, edges, alpha_batch, training=False)
