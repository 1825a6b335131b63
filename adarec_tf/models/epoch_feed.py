"""What Keras' `fit` is fed with: the batches of every epoch, in one endless dataset."""

import collections
import itertools
import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import Batch, EpochBatches, ReplicaBatch, count_batches

_T = TypeVar("_T")
logger = logging.getLogger(__name__)

_SECONDS_OF_SPEED = 5.0  # after which the speed is told
_NUM_EXTENDED = 2  # elements at a time

IDS = tf.TensorSpec([None, None], tf.int64)  # [B, L]


def from_generator(generator: Callable[[], Iterable[Any]], signature: Any) -> tf.data.Dataset:
    """As `tf.data.Dataset.from_generator`, without the thread that tunes what is fixed here.

    When an iterator is deleted it waits for that thread, which may sleep as long as the iterator
    has lived, up to a minute. And without the memory that is never given back: TensorFlow keeps
    the functions of such a dataset as long as the process lives. This one has its generator, and
    whatever model that knows, as long as the dataset is there.

    Args:
      generator: of the elements.
      signature: the type of an element.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    weak = weakref.proxy(generator)
    dataset = tf.data.Dataset.from_generator(weak, output_signature=signature)
    dataset = dataset.with_options(options)
    dataset.generator = generator
    return dataset


class EpochFeed(keras.callbacks.Callback):
    """The batches of a training, which depend on the seed and the number of the epoch alone.

    Keras does not tell a dataset which epoch it is in, so this is one of the callbacks: a resumed
    training goes on with the batches that it would have had. It adds to the logs of an epoch its
    labeled `positions_per_second`, and `train_s`, seconds of training without validation.

    Attributes:
      epoch_batches: number of an epoch to its batches.
      num_steps: of what Keras calls an epoch: the batches of the first one, or a part of them.
        Later epochs may have a few more or less where histories are cut anew; what is left then is
        trained on in the one after.
    """

    def __init__(
        self,
        epoch_batches: Callable[[int], EpochBatches],
        element: Callable[[Batch], Any] = lambda batch: (batch.item_ids, batch.labels),
        signature: Any = (IDS, IDS),
        extended: Callable[..., Any] | None = None,
    ) -> None:
        """Creates the feed.

        Args:
          epoch_batches: number of an epoch to its batches.
          element: a batch to what the model is trained on, x and y.
          signature: the type of an element.
          extended: an element to what the model is trained on in its place, in TensorFlow. It is
            computed on other cores while the step before is.

        Raises:
          ValueError: there are no batches.
        """
        super().__init__()
        self.num_steps = count_batches(epoch_batches(0))
        self.epoch_batches = epoch_batches
        self._element, self._signature, self._extended = element, signature, extended
        self._first_epoch: int | None = None
        self._sizes: collections.deque[int] = collections.deque()
        self._num_positions = 0
        self._start = self._stop = 0.0
        self._traced = (0.0, 0)
        self._is_speed_told = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch that is the first, and starts the clock.

        Args:
          epoch: from 0.
          logs: not read.
        """
        if self._first_epoch is None:
            self._first_epoch = epoch
        self._num_positions = 0
        self._start, self._stop = time.monotonic(), 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the positions of a step, and logs the speed of the first ones.

        Args:
          batch: from 0.
          logs: not read.
        """
        self._num_positions += self._sizes.popleft()
        if batch == 0:  # in which Keras traces the step
            self._traced = (time.monotonic(), self._num_positions)
        seconds = time.monotonic() - self._traced[0]
        if seconds > _SECONDS_OF_SPEED and not self._is_speed_told:
            self._is_speed_told = True
            speed = (self._num_positions - self._traced[1]) / seconds
            logger.debug("%.0f positions/s", speed, extra={"speed": speed})

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stops the clock."""
        self._stop = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the speed to the logs.

        Args:
          epoch: not read.
          logs: of Keras; changed.
        """
        seconds = (self._stop or time.monotonic()) - self._start
        if logs is not None:
            logs["positions_per_second"] = self._num_positions / seconds
            logs["train_s"] = seconds

    def dataset(self, strategy: tf.distribute.Strategy) -> Any:
        """The endless dataset that Keras takes its steps from.

        Args:
          strategy: each of its replicas gets its rows of every batch, and their weight.
        """
        if strategy.num_replicas_in_sync == 1:
            elements = from_generator(lambda: map(self._element, self._batches()), self._signature)
            if self._extended is None:
                return elements.prefetch(2)
            options = tf.data.Options()
            # Steps have one thread, in which this would wait for them.
            options.threading.private_threadpool_size = 1 + _NUM_EXTENDED
            extended = elements.map(self._extended, num_parallel_calls=_NUM_EXTENDED)
            return extended.prefetch(2).with_options(options)
        signature = (IDS, IDS, tf.TensorSpec([1], tf.float32))
        return strategy.distribute_datasets_from_function(
            lambda context: from_generator(lambda: self._parts(context), signature)
        )

    def _batches(self) -> Iterator[Batch]:
        """The batches of all epochs, from the first step of the first epoch that Keras runs."""
        for batch in self._from_the_first_step(iter):
            self._sizes.append(len(batch.places))
            yield batch

    def _parts(self, context: tf.distribute.InputContext) -> Iterator[Any]:
        """The parts of this process' replicas, one after the other."""
        count = context.num_replicas_in_sync
        local = count // context.num_input_pipelines
        first = context.input_pipeline_id * local
        numbers = range(first, first + local)

        def parts(batches: EpochBatches) -> Iterator[list[ReplicaBatch]]:
            return batches.for_replicas(numbers, count)

        for replicas in self._from_the_first_step(parts):
            self._sizes.append(replicas[0].num_labels)
            for batch, share, _ in replicas:
                yield batch.item_ids, batch.labels, np.array([share], np.float32)

    def _from_the_first_step(self, read: Callable[[EpochBatches], Iterator[_T]]) -> Iterator[_T]:
        """What is read of all epochs, from the first step of the first epoch that Keras runs."""
        self._sizes.clear()
        num_done = self.num_steps * (self._first_epoch or 0)
        for epoch in itertools.count():
            batches = self.epoch_batches(epoch)
            if len(batches) <= num_done:  # none of them need be made
                num_done -= len(batches)
                continue
            yield from itertools.islice(read(batches), num_done, None)
            num_done = 0
