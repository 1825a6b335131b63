"""The alphas' gradient from comparing architectures, each computed forwards alone.

The gradient through the gate of a drawn operation (GDAS) tells what scaling this operation's output
would do, and nothing of those not drawn. Here every architecture drawn is judged by its loss: the
score function's gradient, in which the other draws' mean takes away what they have in common.
"""

import tensorflow as tf


def compared_loss(logits: tf.Tensor, operations: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
    """The expected loss of an architecture drawn from softmax(logits), estimated from some draws.

    Args:
      logits: float32 [E, O].
      operations: int32 [N, E], N architectures drawn independently, two or more.
      losses: float32 [N], of each, on the same batch; constants.

    Returns:
      Scalar float32: the mean loss. Its gradient in the logits is an unbiased estimate of the
      expected loss's: mean over draws of (loss - mean of the others) * d log p(draw) / d logits.

    Reference:
      Kool et al., "Buy 4 REINFORCE samples, get a baseline for free!", 2019, Eq. (8).
    """
    losses = tf.stop_gradient(losses)
    log_shares = tf.nn.log_softmax(logits)
    drawn = tf.one_hot(operations, tf.shape(logits)[1])
    log_probabilities = tf.reduce_sum(drawn * log_shares, axis=[1, 2])
    mean = tf.reduce_mean(losses)
    num_others = tf.cast(tf.shape(losses)[0] - 1, tf.float32)
    surrogate = tf.reduce_sum((losses - mean) * log_probabilities) / num_others
    return mean + surrogate - tf.stop_gradient(surrogate)
