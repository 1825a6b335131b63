"""The optimizer of every training here: AdamW with warm-up, cosine decay and clipped gradients."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

LEARNING_RATE = 2e-3
WARMUP_SHARE = 0.05  # of all steps
CLIP_NORM = 5.0  # of all gradients together


@keras.saving.register_keras_serializable("adarec_tf")
class ClippedAdamW(keras.optimizers.AdamW):
    """AdamW that clips what the gradients of a batch add up to.

    Keras takes the norm of sparse gradients slice by slice: clipped as they come, a table whose
    few rows are looked up often would escape clipping. Likewise it clips what one replica has, and
    adds the replicas up afterwards: where there are several, each hands in its part of what is
    clipped already.
    """

    def apply(
        self,
        grads: Sequence[tf.Tensor | tf.IndexedSlices],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> Any:
        """One update.

        Args:
          grads: of a replica, in the order of the variables.
          trainable_variables: as in Keras.
        """
        dense = [tf.convert_to_tensor(gradient) for gradient in grads]
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            whole = replica.all_reduce(tf.distribute.ReduceOp.SUM, dense)
            clipped, _ = tf.clip_by_global_norm(whole, self.global_clipnorm)
            dense = [gradient / replica.num_replicas_in_sync for gradient in clipped]
        return super().apply(dense, trainable_variables)

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Keras' formula in one pass over a variable, where Keras makes ten.

        Args:
          gradient: of the variable.
          variable: is updated.
          learning_rate: of this step.
        """
        step = tf.cast(self.iterations.value + 1, tf.float32)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def build_optimizer(
    variables: Sequence[keras.Variable],
    *,
    learning_rate: float = LEARNING_RATE,
    num_steps: int,
    weight_decay: float = 0.0,
    warmup_share: float = WARMUP_SHARE,
) -> ClippedAdamW:
    """AdamW with linear warm-up and cosine decay over the whole training.

    Args:
      variables: what it will update; biases and the parameters of norms are not decayed.
      learning_rate: the highest.
      num_steps: steps of the whole training.
      weight_decay: AdamW's.
      warmup_share: the part of all steps in which the rate rises.

    Returns:
      A built Keras optimizer.
    """
    num_steps = max(1, num_steps)
    warmup_steps = math.ceil(warmup_share * num_steps)
    # The first step is step 0: a rate of 0 there would waste it.
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / max(1, warmup_steps),
        decay_steps=max(1, num_steps - warmup_steps),
        warmup_target=learning_rate if warmup_steps > 0 else None,
        warmup_steps=warmup_steps,
    )
    optimizer = ClippedAdamW(schedule, weight_decay=weight_decay, global_clipnorm=CLIP_NORM)
    optimizer.exclude_from_weight_decay(
        var_list=[v for v in variables if len(v.shape) < 2],
        # The supernet stacks the vectors of its operations.
        var_names=["biases", "norm_scales", "norm_offsets"],
    )
    optimizer.build(variables)
    return optimizer
