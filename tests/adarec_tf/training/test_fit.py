import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.training import FitConfig
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs
from adarec_tf.training.callbacks import EpochRecord
from adarec_tf.training.fit import fit
from tests.adarec_tf import walk_scene
from tests.event_files import read_scalars

SCENE = walk_scene.histories()
VALIDATION = {count: count / 10 for count in range(10)}


class _KilledError(Exception):
    pass


class _Counter(NextItemModel):
    """Counts its epochs instead of learning; what each count is worth is written down."""

    def __init__(self, validation: dict[int, float], killed_in_epoch: int = 0) -> None:
        super().__init__({})
        self.sequence_embedding = SequenceEmbedding(walk_scene.NUM_ITEMS, 2, walk_scene.MAX_LENGTH)
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")
        self.validation, self.killed_in_epoch = validation, killed_in_epoch
        self(tf.zeros([1, 1], tf.int64))
        self.compile(learning_rate=0.5)

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        states = self.sequence_embedding(item_ids)
        return SequenceOutputs(states, (), states)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        self.optimizer.iterations.assign_add(1)
        return {"loss": tf.constant(2.0)}

    def evaluate(self, x: Any = None, y: Any = None, **options: Any) -> dict[str, float]:
        callbacks = options.get("callbacks")
        if callbacks is None:
            self.num_validated = x.num_users
        else:
            callbacks.on_test_begin()
            self.count.assign_add(1)
        epoch = int(self.count.numpy())
        if epoch == self.killed_in_epoch > 0:
            raise _KilledError
        return {"ndcg@10": self.validation[epoch]}


def _fit(
    folder: Path, validation: dict[int, float], killed_in_epoch: int = 0, **options: bool
) -> tuple[int, list[EpochRecord]]:
    """The count that the model ends with, and its records."""
    model = _Counter(validation, killed_in_epoch)
    config = FitConfig(max_epochs=5, patience=2, positions_per_batch=256)
    records = fit(
        model,
        SCENE["train"],
        SCENE["valid"],
        config,
        stage="teacher",
        seed=1,
        checkpoint_dir=str(folder / "checkpoint"),
        log_dir=str(folder / "log"),
        **options,
    )
    return int(model.count.numpy()), records


def test_a_record_says_how_fast_and_at_which_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    end, records = _fit(tmp_path, VALIDATION)
    assert (end, len(records)) == (5, 5)
    num_labels = np.minimum(SCENE["train"].lengths - 1, walk_scene.MAX_LENGTH).clip(min=0).sum()
    for record in records:
        # Labels alone count, not what is padded.
        assert record["positions_per_second"] * record["train_s"] == pytest.approx(num_labels)
    rates = [record["learning_rate"] for record in records]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-6)
    assert "stage=teacher epoch=2 loss=2 val_ndcg@10=0.2" in caplog.text


def test_an_interrupted_fit_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    validation = {1: 0.3, 2: 0.1, 3: 0.2}
    expected = _fit(tmp_path / "whole", validation)
    assert expected[0] == 1
    with pytest.raises(_KilledError):
        _fit(tmp_path / "killed", validation, killed_in_epoch=3)
    end, records = _fit(tmp_path / "killed", validation)
    assert (end, len(records)) == (1, 3)
    timeless = [[r["val_ndcg@10"], r["learning_rate"]] for r in (*records, *expected[1])]
    assert timeless[:3] == timeless[3:]
    # Finished, it is not run again.
    assert _fit(tmp_path / "killed", {}) == (end, records)
    logged = read_scalars(tmp_path / "killed" / "log" / "validation")
    assert [epoch for epoch, _ in logged["epoch_ndcg@10"]] == [0, 1, 2]


def test_a_long_epoch_is_validated_and_saved_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_labels = np.minimum(SCENE["train"].lengths - 1, walk_scene.MAX_LENGTH).clip(min=0).sum()
    monkeypatch.setattr("adarec_tf.training.fit._CHECKPOINT_POSITIONS", num_labels / 2.5)
    validation = {1: 0.3, 2: 0.4, **dict.fromkeys(range(3, 9), 0.1)}
    with pytest.raises(_KilledError):
        _fit(tmp_path, validation, killed_in_epoch=4)
    end, records = _fit(tmp_path, validation)
    assert (end, len(records)) == (2, 8)  # two epochs without a better one are six parts
    positions = [record["positions_per_second"] * record["train_s"] for record in records]
    assert sum(positions[:3]) == pytest.approx(num_labels)
    assert max(positions) < 0.6 * num_labels


def test_what_a_model_does_not_see_makes_no_epoch_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_scene, "MAX_LENGTH", 2)
    num_seen = np.clip(SCENE["train"].lengths - 1, 0, 2).sum()
    assert num_seen < (SCENE["train"].lengths - 1).sum()
    monkeypatch.setattr("adarec_tf.training.fit._CHECKPOINT_POSITIONS", num_seen)
    assert len(_fit(tmp_path, VALIDATION)[1]) == 5


@pytest.mark.parametrize(
    ("validation", "end", "num_epochs"),
    [
        ({0: 0.5, 1: 0.3, 2: 0.4}, 0, 2),  # no epoch is better than the start: patience ends it
        ({0: 0.5, 1: 0.5, 2: 0.5}, 0, 2),
        ({0: 0.5, 1: 0.3, 2: 0.6, 3: 0.4, 4: 0.5}, 2, 4),
        ({0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}, 5, 5),
    ],
)
def test_a_start_that_counts_stays_where_no_epoch_is_better(
    validation: dict[int, float], end: int, num_epochs: int, tmp_path: Path
) -> None:
    found = _fit(tmp_path / "whole", validation, start_counts=True)
    assert (found[0], len(found[1])) == (end, num_epochs)
    with pytest.raises(_KilledError):
        _fit(tmp_path / "killed", validation, killed_in_epoch=2, start_counts=True)
    found = _fit(tmp_path / "killed", validation, start_counts=True)
    assert (found[0], len(found[1])) == (end, num_epochs)


def test_a_start_that_does_not_count_is_left_and_never_validated(tmp_path: Path) -> None:
    found = _fit(tmp_path, {1: 0.0, 2: 0.0, 3: 0.0})
    assert (found[0], len(found[1])) == (1, 3)


def test_the_larger_the_catalog_the_fewer_users_are_validated_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adarec_tf.training.fit._VALIDATION_SCORES", 7 * walk_scene.NUM_ITEMS + 1)
    model = _Counter(VALIDATION)
    fit(
        model,
        SCENE["train"],
        SCENE["valid"],
        FitConfig(max_epochs=1, patience=1, positions_per_batch=256),
        stage="teacher",
        seed=1,
        checkpoint_dir=str(tmp_path),
        start_counts=True,
    )
    assert model.num_validated == 7


def test_an_optimizer_lives_as_long_as_a_fit() -> None:
    model = _Counter(VALIDATION)
    model.fit(SCENE["train"], epochs=1, verbose=0)
    assert isinstance(model.optimizer, keras.optimizers.AdamW)
    assert not model.optimizer.built
