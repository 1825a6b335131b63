"""What the frozen teacher says at every training position, computed once.

A teacher without dropout says the same about a position in every epoch, as long as the position is
seen in the same window. Its logits would be too many to keep; the states they are made of are not.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import Batch, EpochBatches, next_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.models.losses import labeled_positions

logger = logging.getLogger(__name__)

MAX_CACHE_BYTES = 4 * 2**30
_BATCH = 8192  # positions
_TOP_ITEMS_BATCH = 1024  # where each has scores of the catalog
# The most popular items, which come first, among which the best are looked for: of a million they
# would cost far more than all the rest. Samples stand for the others, whether or not they are best.
_TOP_CATALOG = 2**16
# And scores in all, of which they are the best: minutes.
_MOST_SCORES = 5 * 10**10
# Among fewer items than these the best are not worth their time: a second epoch without them
# teaches more than they do.
_LEAST_POPULAR = 2**12


class TeacherStates(NamedTuple):
    """The teacher's outputs at the labeled positions of a batch, row by row.

    Attributes:
      embedding: float32 [N, D]; [N, 0] where no term reads it.
      hidden_states: float32 [N, D] for each layer, bottom to top; none where no term reads them.
      final_states: float32 [N, D].
      top_items: int32 [N, K], ids of its best items, of large catalogs among the most popular.
    """

    embedding: tf.Tensor
    hidden_states: tuple[tf.Tensor, ...]
    final_states: tf.Tensor
    top_items: tf.Tensor


def teacher_states(
    teacher: keras.Model | EnsembleTeacher,
    item_ids: tf.Tensor,
    labels: tf.Tensor,
    num_top_items: int = 0,
    has_layers: bool = True,
    num_popular: int = _TOP_CATALOG,
) -> TeacherStates:
    """Asks the teacher.

    Args:
      teacher: a built sequence model; no gradient reaches it.
      item_ids: int64 [B, L].
      labels: int64 [B, L], PAD where there is none.
      num_top_items: K; scoring the catalog for them costs more than all the rest.
      has_layers: whether embedding and hidden states are wanted.
      num_popular: items, the most popular, among which the best are looked for.
    """
    outputs = teacher(item_ids, training=False)
    indices = labeled_positions(labels).indices

    def at_labels(states: tf.Tensor) -> tf.Tensor:
        return tf.stop_gradient(tf.gather_nd(states, indices))

    final_states = at_labels(outputs.final_states)
    return TeacherStates(
        at_labels(outputs.embedding) if has_layers else final_states[:, :0],
        tuple(map(at_labels, outputs.hidden_states if has_layers else ())),
        final_states,
        _top_items(teacher, final_states, num_top_items, num_popular),
    )


def _top_items(
    teacher: keras.Model | EnsembleTeacher, final_states: tf.Tensor, number: int, num_popular: int
) -> tf.Tensor:
    if number == 0:
        return tf.zeros([tf.shape(final_states)[0], 0], tf.int32)
    num_popular = min(num_popular, teacher.sequence_embedding.num_items)
    popular = tf.slice(teacher.sequence_embedding.item_vectors(), [0, 0], [num_popular, -1])
    logits = tf.matmul(tf.stop_gradient(final_states), popular, transpose_b=True)
    return 1 + tf.math.top_k(logits, min(number, num_popular)).indices


class OnlineTeacher:
    """A teacher that is asked about every batch.

    Attributes:
      ask: item ids and labels, each int64 [B, L], to `teacher_states`, in TensorFlow.
      num_bytes: kept: none.
    """

    num_bytes = 0

    def __init__(
        self,
        teacher: keras.Model | EnsembleTeacher,
        num_top_items: int = 0,
        has_layers: bool = True,
        num_popular: int = _TOP_CATALOG,
    ) -> None:
        """Args: a built sequence model, and what of it is wanted, see `teacher_states`."""
        wanted = num_top_items, has_layers, num_popular
        signature = [tf.TensorSpec([None, None], tf.int64)] * 2
        self.ask = tf.function(
            lambda ids, labels: teacher_states(teacher, ids, labels, *wanted),
            input_signature=signature,
        )

    def states(self, batch: Batch) -> TeacherStates:
        """What `teacher_states` gives for the batch."""
        states: TeacherStates = self.ask(tf.constant(batch.item_ids), tf.constant(batch.labels))
        return states


class TeacherCache:
    """The states of a teacher at every place of a training split, on disk and mapped into memory.

    Holds for windows of the last `max_length` items, which are the same in every epoch.

    Attributes:
      num_bytes: on disk.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        """Args: embedding, hidden states, final states, best items, each [places, ...]."""
        self._arrays = arrays
        self.num_bytes = sum(array.nbytes for array in arrays)

    def states(self, batch: Batch) -> TeacherStates:
        """What `teacher_states` gives for the batch."""
        embedding, *hidden, final, top_items = (
            tf.constant(np.take(array, batch.places, axis=0)) for array in self._arrays
        )
        return TeacherStates(embedding, tuple(hidden), final, top_items)


def read_teacher(
    teacher: keras.Model | EnsembleTeacher,
    train: Histories,
    *,
    max_length: int,
    directory: str,
    max_bytes: int,
    num_top_items: int = 0,
    has_layers: bool = True,
    max_scores: int | None = None,
) -> TeacherCache | OnlineTeacher:
    """The teacher's states for batches of a training split: from a cache if it is small enough.

    Args:
      teacher: a built sequence model; for the cache it runs over the split once.
      train: its training split.
      max_length: items the teacher sees.
      directory: where the arrays of the cache are written; those of an earlier cache are replaced.
      max_bytes: of all arrays; a larger cache is not made, which a log line says.
      num_top_items: best items to keep of each position; none are where so many positions leave
        time for a few items of a large catalog.
      has_layers: whether embedding and hidden states are kept.
      max_scores: among which the best items are looked for; None: as many as take minutes.
    """
    num_popular = min(_TOP_CATALOG, (max_scores or _MOST_SCORES) // max(1, len(train.item_ids)))
    if num_popular < min(_LEAST_POPULAR, teacher.sequence_embedding.num_items):
        num_top_items = 0
    num_popular = max(num_top_items, num_popular)
    one = tf.ones([1, 1], tf.int64)
    probe = _flat(teacher_states(teacher, one, one, num_top_items, has_layers))
    num_bytes = 4 * sum(array.shape[1] for array in probe) * len(train.item_ids)
    if num_bytes > max_bytes:
        logger.info("teacher_cache=none bytes=%d max_bytes=%d", num_bytes, max_bytes)
        return OnlineTeacher(teacher, num_top_items, has_layers, num_popular)
    Path(directory).mkdir(parents=True, exist_ok=True)
    arrays = [
        np.lib.format.open_memmap(
            os.path.join(directory, f"states_{number}.npy"),
            mode="w+",
            dtype=values.dtype.as_numpy_dtype,
            shape=(len(train.item_ids), values.shape[1]),
        )
        for number, values in enumerate(probe)
    ]
    asked = OnlineTeacher(teacher, num_top_items, has_layers, num_popular)
    for batch in _batches(train, max_length, _TOP_ITEMS_BATCH if num_top_items else _BATCH):
        for array, values in zip(arrays, _flat(asked.states(batch)), strict=True):
            array[batch.places] = values.numpy()
    return TeacherCache(arrays)


def _flat(states: TeacherStates) -> list[tf.Tensor]:
    return [states.embedding, *states.hidden_states, states.final_states, states.top_items]


def _batches(train: Histories, max_length: int, num_positions: int) -> EpochBatches:
    return next_item_batches(
        train,
        max_length=max_length,
        positions_per_batch=num_positions,
        seed=0,
        epoch=0,
    )
