"""Two towers by tensorflow-recommenders: a recurrent baseline that shares no code with our models.

tensorflow-recommenders needs `tf.keras` to be Keras 2: set `TF_USE_LEGACY_KERAS=1` in the process
that uses it, before TensorFlow is imported. Everything else here works with either.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from adarec_tf.config.extras import require_extra
from adarec_tf.data.batches import EpochBatches, count_batches, next_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.evaluation.baselines import item_popularity
from adarec_tf.evaluation.protocols import ScoreBatch

_ROWS = tf.TensorSpec([None, None], tf.int64)


def gru_retrieval_scorer(
    train: Histories,
    num_items: int,
    *,
    max_length: int,
    hidden_dim: int = 64,
    num_epochs: int = 20,
    positions_per_batch: int = 2048,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> ScoreBatch:
    """Trains a GRU query tower and an item tower with `tfrs.tasks.Retrieval`.

    Each item of a history is its query's candidate, and the other items of a batch are negatives.
    Their popularity is corrected for, so that scores are those of a softmax over the catalog.

    Args:
      train: the train split.
      num_items: size of the catalog.
      max_length: items of a history that the query tower sees.
      hidden_dim: size of the vectors of both towers.
      num_epochs: passes over the train split.
      positions_per_batch: queries of a batch, about.
      learning_rate: of Adam.
      seed: of the initial weights and of the order of the batches.

    Raises:
      ImportError: `tf.keras` is Keras 3, or tensorflow-recommenders is not installed.
      ValueError: `hidden_dim` or `num_epochs` is below 1, or no history has two items.
    """
    for name, value in (("hidden_dim", hidden_dim), ("num_epochs", num_epochs)):
        if value < 1:
            raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value}.")

    def epoch_batches(epoch: int) -> EpochBatches:
        return next_item_batches(
            train,
            max_length=max_length,
            positions_per_batch=positions_per_batch,
            seed=seed,
            epoch=epoch,
        )

    def inputs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for epoch in range(num_epochs):
            for batch in epoch_batches(epoch):
                yield batch.item_ids, batch.labels

    count_batches(epoch_batches(0))  # an error of ours where there are none
    towers = _build_towers(item_popularity(train, num_items), hidden_dim, seed)
    towers.compile(optimizer=tf.keras.optimizers.Adam(learning_rate, clipnorm=1.0))
    towers.fit(tf.data.Dataset.from_generator(inputs, output_signature=(_ROWS, _ROWS)), verbose=0)

    @tf.function(input_signature=[_ROWS])
    def score(item_ids: tf.Tensor) -> tf.Tensor:
        last_states = towers.query_tower(item_ids)[:, -1]
        return tf.matmul(last_states, towers.item_tower.embeddings[1:], transpose_b=True)

    return lambda rows, item_ids: score(item_ids)


def _build_towers(popularity: np.ndarray, hidden_dim: int, seed: int) -> tf.keras.Model:
    """The towers, to be trained on pairs of `Batch.item_ids` and `Batch.labels`."""
    require_extra("baselines", "tensorflow_recommenders")
    _check_keras()
    import tensorflow_recommenders as tfrs

    layers, initial = tf.keras.layers, tf.keras.initializers
    item_shares = tf.constant(np.append(0.0, popularity / popularity.sum()), tf.float32)

    class TwoTowers(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.item_tower = self.item_embedding()
            self.query_tower = tf.keras.Sequential(
                [
                    self.item_embedding(),
                    layers.GRU(
                        hidden_dim,
                        return_sequences=True,
                        kernel_initializer=initial.GlorotUniform(seed),
                        recurrent_initializer=initial.Orthogonal(seed=seed),
                    ),
                ]
            )
            self.task = tfrs.tasks.Retrieval(remove_accidental_hits=True)

        def item_embedding(self) -> tf.keras.layers.Embedding:
            rows = initial.RandomUniform(-0.05, 0.05, seed)
            # The mask is PAD's.
            return layers.Embedding(len(item_shares), hidden_dim, rows, mask_zero=True)

        def compute_loss(
            self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool = False
        ) -> tf.Tensor:
            item_ids, labels = inputs
            is_labeled = labels != PAD
            items = tf.boolean_mask(labels, is_labeled)
            return self.task(
                tf.boolean_mask(self.query_tower(item_ids, training=training), is_labeled),
                self.item_tower(items),
                candidate_sampling_probability=tf.gather(item_shares, items),
                candidate_ids=items,
                compute_metrics=False,
            )

    return TwoTowers()


def _check_keras() -> None:
    version = tf.keras.version() if hasattr(tf.keras, "version") else "2"  # Keras 2 has no such
    if version.startswith("3"):
        raise ImportError(
            "TF_USE_LEGACY_KERAS=1 should be set before TensorFlow is imported: "
            f"tensorflow-recommenders needs Keras 2 as tf.keras. Received: Keras {version}."
        )
