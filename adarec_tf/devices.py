"""The devices a training runs on, and what each of them does of a batch.

A model that was built in the scope of a strategy trains under it, as with Keras's own `fit`:

    strategy = choose_strategy()
    with strategy.scope():
        teacher = build_teacher(...)
    train_teacher(teacher, ...)

Every worker goes through all batches in the same order, and each replica takes its rows of them.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from adarec_tf.sequence_model import PAD

LossParts = dict[str, tf.Tensor]
TrainStep = Callable[[tf.Tensor, tf.Tensor], LossParts]
# Item ids, labels, and the weight of these rows in the batch they belong to.
WeightedStep = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | float], LossParts]


def choose_strategy() -> tf.distribute.Strategy:
    """The strategy for what there is.

    Returns:
      Several workers, where `TF_CONFIG` names a cluster of them (call this before TensorFlow has
      run anything: collective operations are set up when it starts); all the GPUs, where this
      machine has more than one; else TensorFlow's default, which is the GPU or the CPU.
    """
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    if sum(len(cluster.get(job, ())) for job in ("chief", "worker")) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes files: one of the workers does, or the only one."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and resolver.task_id == 0


def compile_step(strategy: tf.distribute.Strategy, step: WeightedStep) -> TrainStep:
    """A training step on whole batches, shared by the replicas of a strategy.

    Args:
      strategy: under which the variables of the step were created.
      step: one update. It gets item_ids [B, L], labels [B, L] and the weight that it has to
        multiply its losses with; with one replica these are a whole batch and 1.

    Returns:
      A compiled function of the item_ids and labels (int64 [B, L]) of a whole batch, which returns
      the sums of the losses over replicas.
    """
    signature = [tf.TensorSpec([None, None], tf.int64)] * 2

    @tf.function(input_signature=signature)
    def whole_step(item_ids: tf.Tensor, labels: tf.Tensor) -> LossParts:
        return step(item_ids, labels, 1.0)

    @tf.function(input_signature=signature)
    def shared_step(item_ids: tf.Tensor, labels: tf.Tensor) -> LossParts:
        parts = strategy.run(
            lambda *batch: step(*_rows_of_replica(*batch)), args=(item_ids, labels)
        )
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in parts.items()
        }

    return whole_step if strategy.num_replicas_in_sync == 1 else shared_step


def _rows_of_replica(
    item_ids: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Every n-th row, and their share of the labelled positions.

    A mean over these positions times this share, summed over replicas, is the mean of the batch.
    """
    replica = tf.distribute.get_replica_context()
    num_rows = tf.shape(labels)[0]
    rows = tf.range(replica.replica_id_in_sync_group, num_rows, replica.num_replicas_in_sync)
    num_own = tf.math.count_nonzero(tf.not_equal(tf.gather(labels, rows), PAD))
    num_labels = tf.math.count_nonzero(tf.not_equal(labels, PAD))
    # Without a label of its own a replica computes something finite, and weighs it by 0.
    rows = tf.cond(num_own > 0, lambda: rows, lambda: tf.range(num_rows))
    weight = tf.cast(num_own / num_labels, tf.float32)
    return tf.gather(item_ids, rows), tf.gather(labels, rows), weight


def mean_over_replicas(
    strategy: tf.distribute.Strategy, values: Mapping[str, float]
) -> dict[str, float]:
    """The mean of what each replica has, so that all of them go on with the same numbers."""
    if strategy.num_replicas_in_sync == 1:
        return dict(values)
    own = tf.constant(list(values.values()), tf.float64)

    @tf.function
    def mean() -> tf.Tensor:
        return strategy.reduce(
            tf.distribute.ReduceOp.MEAN, strategy.run(lambda: tf.identity(own)), axis=None
        )

    return dict(zip(values, mean().numpy().tolist(), strict=True))
