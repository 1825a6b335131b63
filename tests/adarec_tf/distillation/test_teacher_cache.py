import functools
import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.teacher import NextItNetConfig, SASRecConfig
from adarec_tf.data.batches import next_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.distillation import teacher_cache
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.teacher_cache import (
    OnlineTeacher,
    TeacherCache,
    read_teacher,
    teacher_states,
)
from adarec_tf.models.sequence_model import SequenceOutputs
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


def _ensemble() -> EnsembleTeacher:
    return EnsembleTeacher([_nextitnet(1), _nextitnet(2)])


TEACHERS: dict[str, Callable[[], keras.Model | EnsembleTeacher]] = {
    "nextitnet": lambda: _nextitnet(1),
    "sasrec": _sasrec,
    "ensemble": _ensemble,
}
NUM_TOP = 3
LENGTH = 4  # shorter than the longest history


def _said(teacher: keras.Model | EnsembleTeacher, row: tuple[int, ...]) -> list[list[np.ndarray]]:
    """What the teacher says at each item of a row without padding: its states, its best items."""
    outputs = teacher(tf.constant([row], tf.int64))
    items = teacher.sequence_embedding.item_vectors().numpy()
    said = []
    for states in zip(
        outputs.embedding[0],
        *(hidden[0] for hidden in outputs.hidden_states),
        outputs.final_states[0],
        strict=True,
    ):
        scores = [float(vector @ states[-1].numpy()) for vector in items]
        best = sorted(range(1, len(scores) + 1), key=lambda item: -scores[item - 1])[:NUM_TOP]
        said.append([*(state.numpy() for state in states), np.array(best)])
    return said


def _check(
    reader: TeacherCache | OnlineTeacher,
    teacher: keras.Model | EnsembleTeacher,
    train: Histories,
    epochs: Sequence[int],
) -> None:
    """Compares what a reader gives with what the teacher says of each row alone."""
    said = functools.cache(functools.partial(_said, teacher))
    for epoch in epochs:
        for batch in next_item_batches(
            train, max_length=LENGTH, positions_per_batch=32, seed=7, epoch=epoch
        ):
            rows = [tuple(row[row > 0]) for row in batch.item_ids]
            expected = [position for row in rows for position in said(row)]
            read = tf.nest.flatten(reader.states(batch))
            for kept, asked in zip(read[:-1], zip(*expected, strict=True), strict=False):
                # Products are summed in another order in a batch of another shape.
                np.testing.assert_allclose(kept, asked, rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(read[-1], [position[-1] for position in expected])


@pytest.fixture(scope="module")
def train() -> Histories:
    return walk_scene.histories(num_users=30)["train"]


@pytest.mark.parametrize("kind", TEACHERS)
@pytest.mark.parametrize("max_bytes", [10**6, 0])
def test_a_reader_says_what_the_teacher_says_in_every_epoch(
    kind: str, max_bytes: int, train: Histories, tmp_path: Path
) -> None:
    teacher = TEACHERS[kind]()
    reader = read_teacher(
        teacher,
        train,
        max_length=LENGTH,
        directory=str(tmp_path / "states"),
        max_bytes=max_bytes,
        num_top_items=NUM_TOP,
    )
    assert isinstance(reader, TeacherCache if max_bytes else OnlineTeacher)
    _check(reader, teacher, train, epochs=(0, 1))


def test_a_cache_of_another_teacher_is_not_used(train: Histories, tmp_path: Path) -> None:
    for seed in (1, 2):
        teacher = _nextitnet(seed)
        reader = read_teacher(
            teacher,
            train,
            max_length=LENGTH,
            directory=str(tmp_path),
            max_bytes=10**6,
            num_top_items=NUM_TOP,
        )
        _check(reader, teacher, train, epochs=(0,))


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


def test_a_teacher_is_asked_without_dropout_whatever_its_default() -> None:
    teacher = _nextitnet(1)

    def asked(item_ids: tf.Tensor, training: bool = True) -> SequenceOutputs:
        return teacher(item_ids, training=training)

    asked.sequence_embedding = teacher.sequence_embedding  # type: ignore[attr-defined]
    rows = tf.constant([[1, 2, 3, 4]], tf.int64)
    states = teacher_states(asked, rows, rows)  # type: ignore[arg-type]
    np.testing.assert_array_equal(states.final_states, teacher(rows).final_states[0])


@pytest.mark.parametrize("kind", TEACHERS)
def test_of_a_large_catalog_the_best_are_found_among_the_most_popular(
    kind: str, train: Histories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popular = walk_scene.NUM_ITEMS - 2
    teacher, ids, labels = TEACHERS[kind](), tf.constant([[2, 3, 1]]), tf.constant([[3, 1, 2]])
    states = teacher_states(teacher, ids, labels, NUM_TOP, num_popular=popular)
    scores = teacher.sequence_embedding.item_logits(states.final_states).numpy()[:, :popular]
    best = np.argsort(-scores, axis=1)[:, :NUM_TOP] + 1
    np.testing.assert_array_equal(states.top_items, best)
    # Of many positions among fewer items, and of too many not at all.
    monkeypatch.setattr(teacher_cache, "_MOST_SCORES", popular * len(train.item_ids))
    keep = functools.partial(read_teacher, teacher, train, max_length=LENGTH, num_top_items=NUM_TOP)
    [batch, *_] = next_item_batches(
        train, max_length=LENGTH, positions_per_batch=50, seed=0, epoch=0
    )
    for max_bytes, least in itertools.product((10**6, 0), (popular, popular + 1)):
        monkeypatch.setattr(teacher_cache, "_LEAST_POPULAR", least)
        reader = keep(directory=str(tmp_path), max_bytes=max_bytes)
        top_items = reader.states(batch).top_items.numpy()
        assert top_items.shape[1] == (NUM_TOP if least == popular else 0)
        assert top_items.max(initial=popular) == popular
    fewer = keep(directory=str(tmp_path), max_bytes=0, max_scores=popular * len(train.item_ids) - 1)
    assert fewer.states(batch).top_items.shape[1] == 0


@pytest.mark.parametrize("kind", TEACHERS)
def test_layers_that_no_term_reads_are_not_kept(
    kind: str, train: Histories, tmp_path: Path
) -> None:
    teacher = TEACHERS[kind]()
    keep = functools.partial(read_teacher, teacher, train, max_length=LENGTH, max_bytes=10**6)
    whole = keep(directory=str(tmp_path / "whole"))
    scores = keep(directory=str(tmp_path / "scores"), has_layers=False)
    [batch, *_] = next_item_batches(
        train, max_length=LENGTH, positions_per_batch=50, seed=0, epoch=0
    )
    kept, others = scores.states(batch), whole.states(batch)
    np.testing.assert_array_equal(kept.final_states, others.final_states)
    assert (kept.embedding.shape[1], kept.hidden_states) == (0, ())
    assert scores.num_bytes == others.final_states.shape[1] * 4 * len(train.item_ids)
    assert scores.num_bytes < whole.num_bytes / 3
