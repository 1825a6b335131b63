"""The devices a training runs on, and what each of them does of a batch.

A model that was built in the scope of a strategy trains under it, as with Keras's own `fit`:

    strategy = choose_strategy()
    with strategy.scope():
        teacher = build_teacher(...)
    train_teacher(teacher, ...)

Every worker goes through all batches in the same order, and each replica takes its rows of them.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from adarec_tf.data.histories.vocabulary import PAD

LossParts = dict[str, tf.Tensor]


def set_threads() -> None:
    """Sets how many threads TensorFlow has; call it before TensorFlow has run anything.

    One operation at a time: sums of gradients begin with whichever tensor is free to be
    overwritten, so that equal seeds train equal models only if operations keep their order. And
    one thread an operation, unless `TF_NUM_INTRAOP_THREADS` says how many: steps of small batches
    are slower with more.
    """
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if "TF_NUM_INTRAOP_THREADS" not in os.environ:
        tf.config.threading.set_intra_op_parallelism_threads(1)


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


def worker_name(strategy: tf.distribute.Strategy) -> str:
    """Which of several workers this process is, such as `worker-1`; empty where it is alone."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return ""
    return f"{resolver.task_type}-{resolver.task_id}"


def count_workers_here(strategy: tf.distribute.Strategy) -> int:
    """How many workers, this one included, share this machine."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return 1
    cluster = resolver.cluster_spec()
    hosts = [
        address.rpartition(":")[0]
        for job in {"chief", "worker"} & set(cluster.jobs)
        for address in cluster.job_tasks(job)
    ]
    own = cluster.task_address(resolver.task_type, resolver.task_id)
    return hosts.count(own.rpartition(":")[0])


def on_replicas(
    strategy: tf.distribute.Strategy, step: Callable[..., LossParts]
) -> Callable[..., LossParts]:
    """A step that every replica of a strategy takes, with the sums of what they return.

    Args:
      strategy: whose replicas.
      step: what each of them does; it returns scalars by name.
    """
    if strategy.num_replicas_in_sync == 1:
        return step

    def shared_step(*batches: Any) -> LossParts:
        parts = strategy.run(step, args=batches)
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in parts.items()
        }

    return shared_step


class OwnRows(NamedTuple):
    """What a replica computes of a batch.

    Attributes:
      rows: int32 [R], every n-th row of the batch.
      positions: int64 [N], which of the batch's labeled positions, row by row, are in them.
      share: scalar float32, of the labeled positions. A mean over those of the replica times this,
        summed over replicas, is the mean of the batch.
    """

    rows: tf.Tensor
    positions: tf.Tensor
    share: tf.Tensor


def rows_of_replica(labels: tf.Tensor) -> OwnRows:
    """The rows of the replica that asks.

    Args:
      labels: int64 [B, L], PAD where there is none.
    """
    replica = tf.distribute.get_replica_context()
    number, count = replica.replica_id_in_sync_group, replica.num_replicas_in_sync
    num_rows = tf.shape(labels)[0]
    labeled_rows = tf.cast(tf.where(tf.not_equal(labels, PAD))[:, 0], tf.int32)
    positions = tf.where(tf.equal(labeled_rows % count, number))[:, 0]
    num_own, num_labels = tf.size(positions), tf.size(labeled_rows)

    def own() -> tuple[tf.Tensor, tf.Tensor]:
        return tf.range(number, num_rows, count), positions

    def every() -> tuple[tf.Tensor, tf.Tensor]:
        return tf.range(num_rows), tf.range(num_labels, dtype=tf.int64)

    # Without a label of its own a replica computes something finite, and weighs it by 0.
    rows, positions = tf.cond(num_own > 0, own, every)
    return OwnRows(rows, positions, tf.cast(num_own / num_labels, tf.float32))


def num_replicas() -> int:
    """How many take the step that is being traced."""
    return tf.distribute.get_replica_context().num_replicas_in_sync


def sum_over_replicas(values: Any) -> Any:
    """Sums what each replica has, inside a step; differentiable, and the same on all of them.

    Args:
      values: tensors, nested.
    """
    if num_replicas() == 1:
        return values
    replica = tf.distribute.get_replica_context()
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)


def check_same_epoch(
    strategy: tf.distribute.Strategy, num_finished: int, checkpoint_dir: str
) -> None:
    """Checks that all workers go on from the same checkpoint.

    Args:
      strategy: of the workers.
      num_finished: epochs that this one has found there.
      checkpoint_dir: where.

    Raises:
      ValueError: another has found more or fewer.
    """
    if mean_over_replicas(strategy, {"finished": num_finished})["finished"] != num_finished:
        raise ValueError(
            "`checkpoint_dir` should be one folder that all workers see. "
            f"Received: {checkpoint_dir}, where this worker finds {num_finished} finished epochs "
            "and others do not."
        )


def mean_over_replicas(
    strategy: tf.distribute.Strategy, values: Mapping[str, float]
) -> dict[str, float]:
    """The mean of what each replica has, so that all of them go on with the same numbers.

    Args:
      strategy: whose replicas.
      values: of this process, by name.
    """
    if strategy.num_replicas_in_sync == 1:
        return dict(values)
    own = tf.constant(list(values.values()), tf.float64)

    @tf.function
    def mean() -> tf.Tensor:
        return strategy.reduce(
            tf.distribute.ReduceOp.MEAN, strategy.run(lambda: tf.identity(own)), axis=None
        )

    return dict(zip(values, mean().numpy().tolist(), strict=True))


def values_of_chief(
    strategy: tf.distribute.Strategy, values: Mapping[str, float]
) -> dict[str, float]:
    """What the chief has, on all workers.

    Args:
      strategy: of the workers.
      values: of this process, by name; only those of the chief are read.
    """
    share = float(is_chief(strategy))
    means = mean_over_replicas(strategy, {name: share * v for name, v in values.items()})
    [chiefs] = mean_over_replicas(strategy, {"chiefs": share}).values()
    return {name: mean / chiefs for name, mean in means.items()}
