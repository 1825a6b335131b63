from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adarec_tf.training.training_log import TrainingLog
from tests.event_files import read_scalars


def test_an_epoch_is_a_step(tmp_path: Path) -> None:
    log = TrainingLog(str(tmp_path / "teacher"))
    log.append({"task": 3.5, "ndcg@10/full": 0.25})
    log.append({"task": 2.5, "ndcg@10/full": 0.5})
    assert read_scalars(tmp_path / "teacher") == {
        "task": [(1, 3.5), (2, 2.5)],
        "ndcg@10/full": [(1, 0.25), (2, 0.5)],
    }


def test_tensorboard_reads_it(tmp_path: Path) -> None:
    TrainingLog(str(tmp_path)).append({"task": 3.5})
    reader = EventAccumulator(str(tmp_path)).Reload()
    assert reader.Tags()["tensors"] == ["task"]
    [event] = reader.Tensors("task")
    assert float(tf.make_ndarray(event.tensor_proto)) == 3.5


def test_a_training_that_goes_on_shows_every_epoch_once(tmp_path: Path) -> None:
    log = TrainingLog(str(tmp_path))
    for value in (3.0, 2.0):
        log.append({"task": value})
    # Killed between the checkpoint of the third epoch and its scalars.
    resumed = TrainingLog(str(tmp_path), [{"task": 3.0}, {"task": 2.0}, {"task": 1.0}])
    resumed.append({"task": 0.5})
    assert read_scalars(tmp_path) == {"task": [(1, 3.0), (2, 2.0), (3, 1.0), (4, 0.5)]}


def test_files_of_others_stay(tmp_path: Path) -> None:
    other = tmp_path / "events.out.tfevents.1.host"
    other.write_bytes(b"")
    TrainingLog(str(tmp_path)).append({"task": 1.0})
    TrainingLog(str(tmp_path)).append({"task": 1.0})
    assert other.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    TrainingLog(None, [{"task": 2.0}]).append({"task": 1.0})
    assert list(tmp_path.iterdir()) == []
