import logging
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.teacher import NextItNetConfig, SASRecConfig
from adarec_tf.data.batches import next_item_batches
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.teacher_cache import TeacherCache, read_teacher, teacher_states
from adarec_tf.models.teachers import build_teacher
from tests.adarec_tf import walk_scene

SIZES = {"hidden_dim": 12, "num_blocks": 2, "dropout": 0.3}


def _nextitnet(seed: int) -> keras.Model:
    return build_teacher(
        NextItNetConfig(**SIZES), walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=seed
    )


def _sasrec() -> keras.Model:
    config = SASRecConfig(**SIZES, num_heads=2, feed_forward_dim=16)
    return build_teacher(config, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=1)


@pytest.mark.parametrize("kind", ["nextitnet", "sasrec", "ensemble"])
def test_the_cache_says_what_the_teacher_says_in_every_epoch(kind: str, tmp_path: Path) -> None:
    teacher = {
        "nextitnet": lambda: _nextitnet(1),
        "sasrec": _sasrec,
        "ensemble": lambda: EnsembleTeacher([_nextitnet(1), _nextitnet(2)]),
    }[kind]()
    train = walk_scene.histories()["train"]
    max_length = 4  # shorter than the longest history
    num_top_items = 2 if kind == "ensemble" else 0
    cache = read_teacher(
        teacher,
        train,
        max_length=max_length,
        directory=str(tmp_path / "states"),
        max_bytes=10**6,
        num_top_items=num_top_items,
    )
    assert isinstance(cache, TeacherCache)
    for epoch in (0, 1):
        for batch in next_item_batches(
            train, max_length=max_length, positions_per_batch=32, seed=7, epoch=epoch
        ):
            asked = teacher_states(
                teacher, tf.constant(batch.item_ids), tf.constant(batch.labels), num_top_items
            )
            tf.nest.assert_same_structure(asked, cache.states(batch))
            for expected, kept in zip(
                tf.nest.flatten(asked), tf.nest.flatten(cache.states(batch)), strict=True
            ):
                # Products are summed in another order in a batch of another shape.
                np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-5)


def test_a_cache_larger_than_allowed_is_not_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train = walk_scene.histories()["train"]
    num_layers = len(_nextitnet(1)(tf.ones([1, 1], tf.int64)).hidden_states)
    # And embedding and final states, all of width 12, in float32.
    num_bytes = (num_layers + 2) * 12 * 4 * len(train.item_ids)
    for allowed, is_made in ((num_bytes, True), (num_bytes - 1, False)):
        folder = tmp_path / str(allowed)
        cache = read_teacher(
            _nextitnet(1), train, max_length=8, directory=str(folder), max_bytes=allowed
        )
        assert isinstance(cache, TeacherCache) == folder.exists() == is_made
    assert f"teacher_cache=none bytes={num_bytes}" in caplog.text
