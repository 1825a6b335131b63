"""The Keras model that teachers and students are: compiled, fitted and evaluated for next items.

It adds to Keras what is special here: which batches an epoch of histories has, a loss at every
labeled position, and metrics of the target's rank among the catalog.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import (
    EpochBatches,
    next_item_batches,
    suggest_positions_per_batch,
)
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.models.epoch_feed import EpochFeed
from adarec_tf.models.losses import TaskLoss, count_items, labeled_positions, task_loss
from adarec_tf.models.metrics import (
    NDCG,
    HitRate,
    RankingMetric,
    target_ranks,
    without_items,
)
from adarec_tf.models.optimizer import LEARNING_RATE, build_optimizer
from adarec_tf.models.sequence_model import SequenceEmbedding
from adarec_tf.models.target_feed import TargetFeed

if TYPE_CHECKING:
    from adarec_tf.data.dataset import Dataset

LOSSES = ("softmax", "sampled_softmax", "gbce")
SEEN_OPTIONS = ("exclude", "keep")
_KERAS_BATCH = 32  # rows of an array that Keras takes at a time
_SEED = "seed_"


class NextItemModel(keras.Model):
    """A sequence model that Keras trains and evaluates.

    A subclass has the attribute `sequence_embedding`, a `SequenceEmbedding`, and its `call` maps
    int64 [B, L] item ids, left-padded with 0, to `SequenceOutputs`.

    Examples:
        >>> import keras
        >>> from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs
        >>> class GRU4Rec(ar.NextItemModel):
        ...     def __init__(self, num_items, max_length, hidden_dim=8):
        ...         super().__init__(dict(num_items=num_items, max_length=max_length))
        ...         self.sequence_embedding = SequenceEmbedding(num_items, hidden_dim, max_length)
        ...         self.gru = keras.layers.GRU(hidden_dim, return_sequences=True)
        ...
        ...     def call(self, item_ids, training=False):
        ...         embedding = self.sequence_embedding(item_ids, training=training)
        ...         states = self.gru(embedding)
        ...         return SequenceOutputs(embedding, (states,), states)
        >>> model = GRU4Rec.for_dataset(data)
        >>> history = model.fit(data.train, epochs=2, verbose=0).history
        >>> history["loss"][1] < history["loss"][0]
        True

    Args:
      arguments: of the subclass's constructor, by name, as JSON types; saved with the model.
      **kwargs: of the Keras model.

    Attributes:
      vocabulary_fingerprint: of the items that its ids mean; "" where it was not built for a
        dataset.
    """

    sequence_embedding: SequenceEmbedding

    def __init__(self, arguments: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._arguments = arguments
        self._seen = "exclude"
        self.vocabulary_fingerprint = ""
        self._positions_loss = keras.metrics.Mean("loss")
        self._ranking_metrics: Sequence[keras.metrics.Metric] = ()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self._arguments}

    def get_build_config(self) -> dict[str, Any]:
        """Which items the model was built for."""
        return {"vocabulary_fingerprint": self.vocabulary_fingerprint}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Creates all weights before saved values are loaded into them.

        Args:
          config: what `get_build_config` returned.
        """
        self(tf.zeros([1, 1], tf.int64))
        self.vocabulary_fingerprint = config.get("vocabulary_fingerprint", "")

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Keeps the seeds of dropout as well, so that a training goes on as if it had not stopped.

        Args:
          store: of Keras; changed.
        """
        super().save_own_variables(store)
        for number, state in enumerate(self._seed_states()):
            store[f"{_SEED}{number}"] = state.numpy()

    def load_own_variables(self, store: dict[str, Any]) -> None:
        """Reads what `save_own_variables` kept; files without seeds are read as well.

        Args:
          store: of Keras.
        """
        names = list(store.keys())
        super().load_own_variables({n: store[n] for n in names if not n.startswith(_SEED)})
        for number, state in enumerate(self._seed_states()):
            if f"{_SEED}{number}" in names:
                state.assign(store[f"{_SEED}{number}"])

    def _seed_states(self) -> list[keras.Variable]:
        weights = set(map(id, self.weights))
        return [variable for variable in self.variables if id(variable) not in weights]

    @classmethod
    def for_dataset(cls, dataset: "Dataset", *, seed: int = 0, **arguments: Any) -> Self:
        """Builds the model for the items of a dataset.

        Args:
          dataset: gives the number of items, the length of histories, and whether items of a
            history are recommended again.
          seed: of the initial weights and dropout.
          **arguments: further ones of the constructor, such as `hidden_dim=64`.

        Returns:
          A built model.
        """
        keras.utils.set_random_seed(seed)
        model = cls(num_items=dataset.num_items, max_length=dataset.max_length, **arguments)
        model(tf.zeros([1, 1], tf.int64))
        model._seen = dataset.seen
        model.vocabulary_fingerprint = dataset.vocabulary.fingerprint
        return model

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = "softmax",
        metrics: Sequence[Any] | None = None,
        *,
        seen: str | None = None,
        learning_rate: float = LEARNING_RATE,
        weight_decay: float = 0.0,
        compute_dtype: str = "float32",
        **options: Any,
    ) -> None:
        """Says how the model is trained and judged.

        Args:
          optimizer: any of Keras; by default AdamW with a warm-up and a cosine decay over the
            epochs of a `fit`, which makes it anew.
          loss: `softmax` over the catalog, `sampled_softmax` or `gbce` for large catalogs, or any
            Keras loss of class labels (int64 [N], item id less one) and logits [N, num_items].
          metrics: any Keras metrics of target items (int64 [B]) and scores [B, num_items]; by
            default `HitRate(10)` and `NDCG(10)`, whose names are `hit_rate@10` and `ndcg@10`.
          seen: `exclude` or `keep`: whether items of the history are candidates in evaluation; by
            default what the dataset said, or `exclude`.
          learning_rate: the highest of the default optimizer.
          weight_decay: of the default optimizer.
          compute_dtype: of the catalog logits in training: `float32`, or `bfloat16` where the
            processor has it.
          **options: of Keras' `compile`, such as `run_eagerly`.

        Raises:
          ValueError: a loss or an option of `seen` that is none.
        """
        if isinstance(loss, str) and loss not in LOSSES:
            loss = keras.losses.get(loss)
        seen = seen or self._seen
        if seen not in SEEN_OPTIONS:
            raise ValueError(
                f"`seen` should be one of {', '.join(SEEN_OPTIONS)}. Received: seen={seen!r}."
            )
        # Compiling the steps for each padded length by XLA would take longer than the training.
        options = {"jit_compile": False, **options}
        super().compile(optimizer=optimizer or "adamw", loss=None, **options)
        self._has_default_optimizer = optimizer is None
        self._loss, self._seen, self._compute_dtype = loss, seen, compute_dtype
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        with self.distribute_strategy.scope():
            metrics = [HitRate(10), NDCG(10)] if metrics is None else metrics
            metrics = [keras.metrics.get(metric) for metric in metrics]
        # Not as a state of the model, which takes no more of it once it is built.
        object.__setattr__(self, "_ranking_metrics", metrics)
        no_counts = np.zeros(self.sequence_embedding.num_items, np.int64)
        self._task_loss = self._bind_loss(no_counts, seed=0)

    @property
    def seen(self) -> str:
        """`exclude` or `keep`: whether items of a history are candidates in evaluation."""
        return self._seen

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss and the compiled metrics."""
        return [self._positions_loss, *self._ranking_metrics]

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, for a saved model to go on with."""
        if not self.compiled:
            return {}
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": None if self._has_default_optimizer else serialize(self.optimizer),
            "loss": self._loss if isinstance(self._loss, str) else serialize(self._loss),
            "metrics": [serialize(metric) for metric in self._ranking_metrics],
            "seen": self._seen,
            "learning_rate": self._learning_rate,
            "weight_decay": self._weight_decay,
            "compute_dtype": self._compute_dtype,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as the saved one was.

        Args:
          config: what `get_compile_config` returned.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        if not self._has_default_optimizer:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        validation_data: Any = None,
        epochs: int = 1,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        positions_per_batch: int | None = None,
        windows: str = "last",
        parts: int = 1,
        seed: int = 0,
        **options: Any,
    ) -> keras.callbacks.History:
        """Trains on the next item at every position of histories, as Keras' `fit` does.

        Args:
          x: `Histories` such as `dataset.train`; or anything that Keras fits on, of item ids and
            labels [B, L], 0 where there is none.
          y: labels, where `x` is an array of item ids.
          validation_data: histories with targets, such as `dataset.valid`, or what Keras takes.
          epochs: how many; an epoch has every history once.
          callbacks: of Keras.
          positions_per_batch: positions of a batch, padding included: long histories come in
            batches of fewer users. Suited to the histories if None.
          windows: `last`: of a long history the last `max_length` items are trained on; `all`: all
            of them, in windows that are cut elsewhere in every epoch.
          parts: with more than one, `epochs` counts parts of which it takes so many to have every
            history once: validation and callbacks come as much more often.
          seed: of the batches' order and the sampled losses' negatives.
          **options: of Keras' `fit`, such as `verbose`.

        Returns:
          Keras' `History`; `val_ndcg@10` is among its metrics.

        Raises:
          ValueError: no history has two items to train on, or other data does not say how much it
            is.
        """
        if not self.compiled:
            self.compile()
        if hasattr(x, "train"):
            raise ValueError(
                f"`x` should be histories, such as `dataset.train`. Received: {type(x).__name__}."
            )
        callbacks = list(callbacks or ())
        if isinstance(x, Histories):
            size = positions_per_batch or self._suggest_batch(x)
            feed = self._training_feed(x, positions_per_batch=size, windows=windows, seed=seed)
            feed.num_steps = math.ceil(feed.num_steps / parts)
            callbacks.insert(0, feed)
            options |= {"steps_per_epoch": feed.num_steps, "shuffle": False}
            self._task_loss = self._bind_loss(self._count_items(x), seed)
            self._renew_optimizer(feed.num_steps * epochs)
            x = feed.dataset(self.distribute_strategy)
        elif self._has_default_optimizer:
            self._renew_optimizer(_num_steps(x, options) * epochs)
        try:
            return super().fit(
                x,
                y,
                validation_data=self._evaluation_data(validation_data),
                epochs=epochs,
                callbacks=callbacks,
                **options,
            )
        finally:
            if self._has_default_optimizer:
                # Its slots are twice the model's size, and the next fit begins with new ones.
                self.optimizer = keras.optimizers.AdamW()

    def evaluate(self, x: Any = None, y: Any = None, **options: Any) -> Any:
        """Ranks the target of each history among the catalog, as Keras' `evaluate` does.

        Args:
          x: histories with targets, such as `dataset.test`, or what Keras takes: item ids [B, L].
          y: target items [B], where `x` is an array.
          **options: of Keras' `evaluate`, such as `return_dict`.

        Returns:
          The loss at the targets and the compiled metrics.
        """
        if not self.compiled:
            self.compile()
        return super().evaluate(self._evaluation_data(x), y, **options)

    def predict(self, x: Any, **options: Any) -> np.ndarray:
        """The score of every item to come next.

        Args:
          x: histories, with or without targets, or item ids [B, L], left-padded with 0.
          **options: of Keras' `predict`.

        Returns:
          float32 [U, num_items] in the order of the histories; column j is item j + 1.
        """
        if not isinstance(x, Histories):
            return super().predict(x, **options)
        feed = self._target_feed(x)
        order = np.concatenate([rows for rows, *_ in feed.batches()])
        data = feed.of_one_replica().map(lambda inputs, _: inputs[0])
        return super().predict(data, **options)[np.argsort(order)]

    def compute_loss(
        self,
        x: tf.Tensor | None = None,
        y: tf.Tensor | None = None,
        y_pred: Any = None,
        sample_weight: tf.Tensor | None = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The compiled loss: the mean over the labeled positions of a batch.

        Args:
          x: int64 [B, L], item ids; not read.
          y: int64 [B, L], the next item at each position, 0 where there is none.
          y_pred: the `SequenceOutputs` of `x`.
          sample_weight: float32 [B], the same for all: the part of a batch that is a replica's.
          training: not read.

        Returns:
          Scalar float32, in nats for the losses that have a name.
        """
        del x, training
        positions = labeled_positions(y)
        states = tf.gather_nd(y_pred.final_states, positions.indices)
        loss = self.positions_loss(states, positions.labels)
        if sample_weight is not None:
            loss *= sample_weight[0]
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        self._positions_loss.update_state(loss * replicas)
        return loss

    def positions_loss(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The compiled loss; a subclass may have another one.

        Args:
          states: float32 [N, D], final states at the labeled positions of a batch.
          labels: int64 [N], their next items.

        Returns:
          Scalar float32.
        """
        return self._task_loss(states, labels, self.optimizer.iterations.value)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, tf.Tensor]:
        """The loss of the epoch so far; what ranks cost is spent on validation alone.

        Args:
          x: not read.
          y: not read.
          y_pred: not read.
          sample_weight: not read.

        Returns:
          `loss`, a scalar float32.
        """
        del x, y, y_pred, sample_weight
        return self._results([self._positions_loss])

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Ranks the targets of a batch.

        Args:
          data: item ids [B, L], or these and the items that are no candidates (int64 [B, M], each
            once, 0 where there is none); and the targets [B].

        Returns:
          The loss and the metrics so far by name, scalars float32.
        """
        x, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        item_ids, excluded = x if isinstance(x, tuple | list) else (x, None)
        logits = self.sequence_embedding.item_logits(self.last_states(item_ids))
        loss = _cross_entropy if isinstance(self._loss, str) else self._loss
        self._positions_loss.update_state(loss(targets - 1, logits))
        ranks = target_ranks(logits, targets, excluded)
        for metric in self._ranking_metrics:
            if isinstance(metric, RankingMetric):
                metric.update_ranks(ranks)
            else:
                scores = logits if excluded is None else without_items(logits, excluded)
                metric.update_state(targets, scores)
        return self._results([self._positions_loss, *self._ranking_metrics])

    def predict_step(self, data: Any) -> tf.Tensor:
        """Scores the items after the last one of each history.

        Args:
          data: item ids [B, L].

        Returns:
          float32 [B, num_items].
        """
        item_ids, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.sequence_embedding.item_logits(self.last_states(item_ids))

    def _results(self, metrics: Sequence[keras.metrics.Metric]) -> dict[str, tf.Tensor]:
        """The results so far by name."""
        # Keras takes the mean over several workers along an axis.
        workers = isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)
        shape = [1] if workers else []
        return {metric.name: tf.reshape(metric.result(), shape) for metric in metrics}

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: a model is built when it is made, and Keras would average a batch of workers."""

    def last_states(self, item_ids: tf.Tensor) -> tf.Tensor:
        """What the next item is scored by; a subclass that has it for less overrides this.

        Args:
          item_ids: int [B, L], left-padded with 0.

        Returns:
          float32 [B, D], final states of the last items, without dropout.
        """
        return self(tf.cast(item_ids, tf.int64), training=False).final_states[:, -1]

    def phases(self, epochs: int) -> "list[Phase]":
        """The parts of a training.

        Args:
          epochs: at most.

        Returns:
          One after the other: here the model itself, once.
        """
        return [Phase("", self, epochs)]

    def _epoch_batches(self, train: Histories, **options: Any) -> EpochBatches:
        """The batches of one epoch."""
        return next_item_batches(train, **options)

    def _training_feed(self, train: Histories, **options: Any) -> EpochFeed:
        """The batches of all epochs."""
        max_length = self.sequence_embedding.max_length
        return EpochFeed(
            lambda epoch: self._epoch_batches(train, max_length=max_length, epoch=epoch, **options)
        )

    def _suggest_batch(self, train: Histories) -> int:
        """The positions of a batch where none are given."""
        num_users, num_items = max(1, train.num_users), len(train.item_ids)
        max_length = self.sequence_embedding.max_length
        return suggest_positions_per_batch(num_items - num_users, num_items / num_users, max_length)

    def _count_items(self, train: Histories) -> np.ndarray:
        """How often each item occurs, if the loss draws by it."""
        num_items = self.sequence_embedding.num_items
        if self._loss != "sampled_softmax":
            return np.zeros(num_items, np.int64)
        return count_items(train.item_ids, num_items, self.distribute_strategy)

    def _bind_loss(self, item_counts: np.ndarray, seed: int) -> TaskLoss:
        """The loss of states and labels; sampled ones draw by how often items occur."""
        if not isinstance(self._loss, str):
            return lambda states, labels, step: tf.reduce_mean(
                self._loss(labels - 1, self.sequence_embedding.item_logits(states))
            )
        return task_loss(
            self._loss,
            self.sequence_embedding,
            item_counts,
            seed=seed,
            compute_dtype=self._compute_dtype,
        )

    def _renew_optimizer(self, num_steps: int) -> None:
        """Makes the default optimizer for so many steps; a training function holds its old one."""
        self.train_function = None
        if self._has_default_optimizer:
            with self.distribute_strategy.scope():
                self.optimizer = build_optimizer(
                    self.trainable_variables,
                    learning_rate=self._learning_rate,
                    num_steps=num_steps,
                    weight_decay=self._weight_decay,
                )

    def _evaluation_data(self, x: Any) -> Any:
        """Histories as batches that Keras evaluates; anything else as it is."""
        if not isinstance(x, Histories):
            return x
        if (x.targets == PAD).any():
            raise ValueError(
                "Histories should have a target each to be evaluated, as `dataset.valid` and "
                "`dataset.test` have. Received: histories without targets, as of `dataset.train`."
            )
        return self._target_feed(x).dataset(self.distribute_strategy)

    def _target_feed(self, histories: Histories) -> TargetFeed:
        """The batches of an evaluation."""
        embedding = self.sequence_embedding
        return TargetFeed(
            histories,
            max_length=embedding.max_length,
            num_items=embedding.num_items,
            seen=self._seen,
        )


class Phase(NamedTuple):
    """A part of a training.

    Attributes:
      name: empty where it is the only one.
      model: what is fitted; it may share its weights with that of another phase.
      epochs: at most.
    """

    name: str
    model: NextItemModel
    epochs: int


def _num_steps(x: Any, options: Mapping[str, Any]) -> int:
    """Steps of an epoch of data that is not histories.

    Raises:
      ValueError: the data does not say how much it is.
    """
    if options.get("steps_per_epoch"):
        return int(options["steps_per_epoch"])
    try:
        size = len(x)
    except TypeError as error:
        raise ValueError(
            "`steps_per_epoch` should be given with the default optimizer, whose rate falls until "
            f"the last step, where data has no length. Received: {type(x).__name__}."
        ) from error
    is_array = hasattr(x, "shape")
    return math.ceil(size / (options.get("batch_size") or _KERAS_BATCH)) if is_array else size


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """TensorFlow's own writes a gradient [B, V] as well, which takes more than twice the time."""
    return tf.reduce_logsumexp(logits, axis=1) - tf.gather(logits, labels, batch_dims=1)
