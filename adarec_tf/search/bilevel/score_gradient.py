"""The alphas' gradient from comparing architectures, each computed forwards alone.

Every architecture drawn is judged by its loss: the score function's gradient, in which the other
draws' mean takes away what they have in common. (The gradient through the gate of a drawn operation
would tell what scaling this operation's output does, and nothing of those not drawn.)
"""

import tensorflow as tf

from adarec_tf.search.space.alphas import ArchitectureLogits, SampledArchitecture


def compared_loss(
    architecture_logits: ArchitectureLogits,
    drawn: SampledArchitecture,
    is_there: tf.Tensor,
    losses: tf.Tensor,
) -> tf.Tensor:
    """The expected loss of an architecture drawn from the logits, estimated from some draws.

    Args:
      architecture_logits: of operations [E, O] and of absent cells.
      drawn: N architectures, two or more, drawn independently.
      is_there: float32 [N, E], 0 where an operation is of a cell left out, so that it was not
        computed and says nothing.
      losses: float32 [N], of each, on the same batch; constants.

    Returns:
      Scalar float32: the mean loss. Its gradient in the logits is an unbiased estimate of the
      expected loss's: mean over draws of (loss - mean of the others) * d log p(draw) / d logits.

    Reference:
      Kool et al., "Buy 4 REINFORCE samples, get a baseline for free!", 2019, Eq. (8).
    """
    losses = tf.stop_gradient(losses)
    log_shares = tf.nn.log_softmax(architecture_logits.operations)
    is_drawn = tf.one_hot(drawn.operations, tf.shape(log_shares)[1]) * is_there[..., tf.newaxis]
    log_probabilities = tf.reduce_sum(is_drawn * log_shares, axis=[1, 2]) + tf.gather(
        tf.nn.log_softmax(architecture_logits.depth), drawn.num_absent
    )
    mean = tf.reduce_mean(losses)
    num_others = tf.cast(tf.shape(losses)[0] - 1, tf.float32)
    surrogate = tf.reduce_sum((losses - mean) * log_probabilities) / num_others
    return mean + surrogate - tf.stop_gradient(surrogate)
