import functools

import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import Batch, EpochBatches, next_item_batches
from adarec_tf.models.epoch_feed import EpochFeed
from tests.adarec_tf import walk_scene


def test_a_resumed_training_makes_no_batch_of_the_epochs_before() -> None:
    made: list[int] = []

    def batches(epoch: int) -> EpochBatches:
        epoch_batches = next_item_batches(
            walk_scene.histories()["train"],
            max_length=walk_scene.MAX_LENGTH,
            positions_per_batch=256,
            seed=1,
            epoch=epoch,
            windows="all",
        )

        def noted(batch: Batch, is_labeled: np.ndarray) -> Batch:
            made.append(epoch)
            return batch

        return EpochBatches([*epoch_batches], lambda batch: batch.labels != 0, noted)

    def labels(first_epoch: int, num_steps: int) -> list[bytes]:
        feed = EpochFeed(batches)
        feed.on_epoch_begin(first_epoch)
        dataset = feed.dataset(tf.distribute.get_strategy()).take(num_steps)
        return [labels.numpy().tobytes() for _, labels in dataset]

    num_steps = EpochFeed(batches).num_steps
    assert made == []
    expected = labels(0, 4 * num_steps)
    made.clear()
    assert labels(2, 2 * num_steps) == expected[2 * num_steps :]
    assert min(made) > 0


def test_what_extends_a_batch_is_computed_beside_the_steps() -> None:
    batches = functools.partial(
        next_item_batches,
        walk_scene.histories()["train"],
        max_length=walk_scene.MAX_LENGTH,
        positions_per_batch=256,
        seed=1,
    )
    feeds = (
        EpochFeed(lambda epoch: batches(epoch=epoch)),
        EpochFeed(
            lambda epoch: batches(epoch=epoch), extended=lambda ids, labels: (ids, 100 * labels)
        ),
    )
    plain, extended = (feed.dataset(tf.distribute.get_strategy()) for feed in feeds)
    for (ids, labels), (same_ids, changed) in zip(
        plain.take(feeds[0].num_steps + 1), extended, strict=False
    ):
        np.testing.assert_array_equal(ids, same_ids)
        np.testing.assert_array_equal(100 * labels, changed)
    # The threads of steps, of which there may be one, are not waited for.
    assert extended.options().threading.private_threadpool_size > 1
    assert not extended.options().autotune.enabled
