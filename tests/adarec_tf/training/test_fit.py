import logging
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.training import FitConfig
from adarec_tf.data.batches import Batch
from adarec_tf.training.fit import (
    SELECTION_METRIC,
    EpochRecord,
    FitTask,
    apply_gradients,
    build_optimizer,
    fit,
)
from tests.event_files import read_scalars


def test_rows_looked_up_often_are_clipped_as_what_they_add_up_to() -> None:
    table = keras.Variable(np.zeros((2, 1), np.float32))
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=5.0)
    optimizer.build([table])
    gradient = tf.IndexedSlices(tf.fill([4, 1], 2.0), tf.zeros([4], tf.int64), tf.constant([2, 1]))
    apply_gradients(optimizer, [gradient], [table])
    np.testing.assert_allclose(table, [[-5.0], [0.0]], rtol=1e-6)


@pytest.mark.parametrize("warmup_share", [0.0, 0.2])
def test_rate_rises_to_its_peak_then_falls_to_zero(warmup_share: float) -> None:
    optimizer = build_optimizer(
        [keras.Variable(np.zeros((2, 2), np.float32))],
        learning_rate=0.5,
        num_steps=100,
        warmup_share=warmup_share,
    )
    schedule = optimizer._learning_rate
    rates = [float(schedule(tf.constant(step))) for step in range(101)]
    assert rates[0] > 0
    peak = int(np.argmax(rates))
    assert peak == pytest.approx(100 * warmup_share, abs=1)
    assert max(rates) == pytest.approx(0.5, rel=1e-3)
    assert rates[100] == pytest.approx(0.0, abs=1e-6)


def test_biases_and_norms_are_not_decayed() -> None:
    shapes = {"kernel": (2, 2), "bias": (2,), "norm_scales": (3, 2), "biases": (3, 2)}
    variables = [
        keras.Variable(np.ones(shape, np.float32), name=name) for name, shape in shapes.items()
    ]
    optimizer = build_optimizer(
        variables, learning_rate=0.1, num_steps=300, weight_decay=0.5, warmup_share=0.0
    )
    apply_gradients(optimizer, [tf.zeros(v.shape) for v in variables], variables)
    decayed = {v.name: bool(np.any(np.array(v) < 1)) for v in variables}
    assert decayed == {"kernel": True, "bias": False, "norm_scales": False, "biases": False}


class _KilledError(Exception):
    pass


def _fit(folder: Path, killed_in_epoch: int | None = None) -> list[EpochRecord]:
    """Three epochs that change nothing, of two batches with three labeled positions each."""
    model = keras.Sequential([keras.layers.Dense(1)])
    model.build([None, 1])
    config = FitConfig(max_epochs=3, patience=3, learning_rate=0.5)
    optimizer = build_optimizer(
        model.trainable_variables, learning_rate=0.5, num_steps=6, warmup_share=0.0
    )

    def train_step(batch: Batch) -> dict[str, tf.Tensor]:
        optimizer.apply([tf.zeros(v.shape) for v in model.weights], model.trainable_variables)
        task = tf.reduce_mean(tf.constant(batch.item_ids, tf.float32))
        return {"task": task, "plan": tf.constant([[1.0, 2.0, 3.0]]) * task}

    def epoch_batches(epoch: int) -> Iterator[Batch]:
        labels = np.array([[0, 2], [3, 4]])
        for _ in range(2):
            yield Batch(np.full([2, 2], epoch + 1), labels, np.arange(3))
        if epoch + 1 == killed_in_epoch:
            raise _KilledError

    task = FitTask(
        "teacher", model, optimizer, train_step, epoch_batches, lambda: {SELECTION_METRIC: 0.5}
    )
    return fit(task, config, str(folder / "checkpoint"), str(folder / "log"))


def test_a_record_says_how_fast_and_at_which_rate(tmp_path: Path) -> None:
    history = _fit(tmp_path)
    assert [record["task"] for record in history] == [1.0, 2.0, 3.0]
    for record in history:
        # Labels alone count, not what is padded.
        assert record["positions_per_second"] * record["train_s"] == pytest.approx(6)
    # Cosine decay of 0.5 over six steps, after two, four and all of them.
    rates = [record["learning_rate"] for record in history]
    assert rates == pytest.approx([0.375, 0.125, 0.0], abs=1e-6)


def test_an_array_is_recorded_number_by_number_and_left_out_of_the_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    record = _fit(tmp_path)[1]
    assert [record[f"plan[1,{column}]"] for column in (1, 2, 3)] == [2.0, 4.0, 6.0]
    assert "plan" not in caplog.text
    assert "task=2 " in caplog.text


def test_the_log_of_an_interrupted_fit_is_that_of_an_uninterrupted_one(tmp_path: Path) -> None:
    with pytest.raises(_KilledError):
        _fit(tmp_path, killed_in_epoch=3)
    history = _fit(tmp_path)
    assert len(history) == 3
    logged = read_scalars(tmp_path / "log")
    assert set(logged) == set(history[0])
    for name, points in logged.items():
        assert [epoch for epoch, _ in points] == [1, 2, 3]
        expected = [record[name] for record in history]
        assert [value for _, value in points] == pytest.approx(expected, rel=1e-6)


def _fit_weight(
    folder: Path, validations: dict[int, float], killed_in_epoch: int = 0, **options: bool
) -> tuple[int, int]:
    """Epochs that count a weight up, and what each count is worth; its end, and the epochs run."""
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False)])
    model.build([None, 1])
    [weight] = model.weights
    weight.assign([[0.0]])
    config = FitConfig(max_epochs=5, patience=2, learning_rate=0.5)
    optimizer = build_optimizer(model.trainable_variables, learning_rate=0.5, num_steps=5)

    def train_step(batch: Batch) -> dict[str, tf.Tensor]:
        weight.assign_add([[1.0]])
        return {"task": tf.constant(1.0)}

    def epoch_batches(epoch: int) -> Iterator[Batch]:
        if epoch + 1 == killed_in_epoch:
            raise _KilledError
        yield Batch(np.ones([1, 1]), np.ones([1, 1]), np.arange(1))

    task = FitTask(
        *("teacher", model, optimizer, train_step, epoch_batches),
        lambda: {SELECTION_METRIC: validations[int(weight.numpy().item())]},
        **options,
    )
    history = fit(task, config, str(folder))
    return int(weight.numpy().item()), len(history)


@pytest.mark.parametrize(
    ("validations", "end", "num_epochs"),
    [
        ({0: 0.5, 1: 0.3, 2: 0.4}, 0, 2),  # no epoch is better than the start: patience ends it
        ({0: 0.5, 1: 0.5, 2: 0.5}, 0, 2),
        ({0: 0.5, 1: 0.3, 2: 0.6, 3: 0.4, 4: 0.5}, 2, 4),
        ({0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}, 5, 5),
    ],
)
def test_a_start_that_counts_stays_where_no_epoch_is_better(
    validations: dict[int, float], end: int, num_epochs: int, tmp_path: Path
) -> None:
    found = _fit_weight(tmp_path / "counts", validations, start_counts=True)
    assert found == (end, num_epochs)
    # Stopped and started again, it knows what the start was worth, and has its weights.
    with pytest.raises(_KilledError):
        _fit_weight(tmp_path / "killed", validations, killed_in_epoch=2, start_counts=True)
    later = {count: value for count, value in validations.items() if count > 0}
    assert _fit_weight(tmp_path / "killed", later, start_counts=True) == (end, num_epochs)


def test_a_start_that_does_not_count_is_left_and_never_validated(tmp_path: Path) -> None:
    assert _fit_weight(tmp_path, {1: 0.0, 2: 0.0, 3: 0.0}) == (1, 3)
