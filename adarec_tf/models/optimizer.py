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
    """AdamW that clips what the gradients of a batch add up to, and touches no row needlessly.

    A table of which a step read some rows has a gradient of these rows alone. They are updated as
    AdamW without momentum would update them; to all others happens nothing until a step reads
    them, which then makes up for the decay of the steps in between. So no part of a step grows with
    the table. Momentum would go on moving rows that no step reads.

    Keras takes the norm of sparse gradients slice by slice: clipped as they come, a table whose
    few rows are looked up often would escape clipping. Likewise it clips what one replica has, and
    adds the replicas up afterwards: where there are several, each hands in its part of what is
    clipped already.
    """

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates the state.

        Args:
          variables: what will be updated.
        """
        if self.built:
            return
        super().build(variables)
        self._sparse: set[int] = set()
        # The step that last updated a row.
        self._row_steps = {
            number: self.add_variable(
                (variable.shape[0],), "zeros", "int64", name=f"row_steps_{number}"
            )
            for number, variable in enumerate(variables)
            if len(variable.shape) == 2
        }

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
        replica = tf.distribute.get_replica_context()
        grads = [_with_distinct_rows(gradient) for gradient in grads]
        if replica.num_replicas_in_sync > 1:
            whole = replica.all_reduce(tf.distribute.ReduceOp.SUM, grads)
            whole = [_with_distinct_rows(gradient) for gradient in whole]
            clipped, _ = tf.clip_by_global_norm(whole, self.global_clipnorm)
            share = 1.0 / replica.num_replicas_in_sync
            grads = [_scaled(gradient, share) for gradient in clipped]
        variables = trainable_variables or self._trainable_variables
        self._sparse = {
            self._get_variable_index(variable)
            for gradient, variable in zip(grads, variables, strict=True)
            if isinstance(gradient, tf.IndexedSlices)
        }
        return super().apply(grads, trainable_variables)

    def update_step(
        self,
        gradient: tf.Tensor | tf.IndexedSlices,
        variable: tf.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        """Keras' formula in one pass over a variable, where Keras makes ten.

        Args:
          gradient: of the variable.
          variable: is updated.
          learning_rate: of this step.
        """
        index = self._get_variable_index(variable)
        if isinstance(gradient, tf.IndexedSlices):
            self._update_rows(gradient, variable, index, learning_rate)
            return
        step = tf.cast(self.iterations.value + 1, tf.float32)
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

    def _update_rows(
        self,
        gradient: tf.IndexedSlices,
        variable: tf.Variable,
        index: int,
        learning_rate: tf.Tensor,
    ) -> None:
        """Updates some rows, each once."""
        gradient = _with_distinct_rows(gradient)  # those of several replicas come one by one
        rows, values = gradient.indices, gradient.values
        velocity, row_steps = self._velocities[index].value, self._row_steps[index].value
        step = tf.cast(self.iterations.value + 1, tf.int64)
        waited = tf.cast(step - tf.gather(row_steps, rows), tf.float32)[:, tf.newaxis]
        of_step = 1 - tf.pow(self.beta_2, tf.cast(step, tf.float32))
        squares = tf.gather(velocity, rows) * tf.pow(self.beta_2, waited)
        squares += (1 - self.beta_2) * tf.square(values)
        updated = tf.gather(variable, rows)
        if super()._use_weight_decay(variable):
            updated *= tf.pow(1 - learning_rate * self.weight_decay, waited)
        updated -= learning_rate * values / (tf.sqrt(squares / of_step) + self.epsilon)
        for state, new in ((velocity, squares), (variable, updated)):
            state.scatter_update(tf.IndexedSlices(new, rows))
        row_steps.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), step), rows))

    def _clip_gradients(self, grads: Sequence[Any]) -> list[Any]:
        """Clips by the norm of all, which Keras does by making rows whole tables."""
        return tf.clip_by_global_norm(grads, self.global_clipnorm)[0]

    def _use_weight_decay(self, variable: keras.Variable) -> bool:
        """Whether Keras decays a whole variable before its update."""
        is_sparse = self._get_variable_index(variable) in self._sparse
        return not is_sparse and super()._use_weight_decay(variable)


def _with_distinct_rows(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor | tf.IndexedSlices:
    """Adds up the slices of each row."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def _scaled(gradient: tf.Tensor | tf.IndexedSlices, factor: float) -> tf.Tensor | tf.IndexedSlices:
    """A part of a gradient."""
    if not isinstance(gradient, tf.IndexedSlices):
        return factor * gradient
    return tf.IndexedSlices(factor * gradient.values, gradient.indices, gradient.dense_shape)


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
