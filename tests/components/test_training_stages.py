"""What the stages that train are given, and what makes their training another one."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx.types.standard_artifacts import Model

from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.storage.history_files import read_histories, write_statistics
from adarec_tf.models.students.genotype import Genotype
from components import artifacts, student_searcher, teacher_trainer
from components.artifacts import Sequences
from tests.components.conftest import (
    DISTILLATION,
    GENOTYPE,
    SEARCH,
    STUDENT,
    TEACHER,
    TRAINING,
    Stage,
    make_artifact,
    make_genotype,
    make_recipe,
)

STAGES = ("teacher", "search", "student")


def _with_statistics(
    sequences: Sequences, statistics: SequenceStatistics, path: Path, **changes: Any
) -> Sequences:
    """The same histories with other statistics."""
    shutil.copytree(sequences.uri, path)
    write_statistics(str(path), dataclasses.replace(statistics, **changes))
    return make_artifact(Sequences, path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_learns_from_the_train_split_and_selects_on_validation(
    stage: str, stages: dict[str, Stage], sequences: Sequences
) -> None:
    given = stages[stage]()
    for split in ("train", "valid"):
        expected = read_histories(sequences.uri, split)
        np.testing.assert_array_equal(given[split].item_ids, expected.item_ids)
        np.testing.assert_array_equal(given[split].targets, expected.targets)
    test = read_histories(sequences.uri, "test")
    assert not np.array_equal(given["valid"].targets, test.targets)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("seen", "windows", "max_length"), [("exclude", "all", 8), ("keep", "last", 6)]
)
def test_a_stage_is_told_the_protocol_of_its_sequences(
    stage: str,
    seen: str,
    windows: str,
    max_length: int,
    stages: dict[str, Stage],
    sequences: Sequences,
    statistics: SequenceStatistics,
    model: Model,
    tmp_path: Path,
) -> None:
    changes = {"seen": seen, "windows": windows, "max_length": max_length}
    changed = _with_statistics(sequences, statistics, tmp_path / "changed", **changes)
    given = stages[stage](sequences=changed)
    if stage == "search":
        assert (given["seen"], given["max_length"]) == (seen, max_length)
    else:
        assert given["statistics"] == dataclasses.replace(statistics, **changes)
        assert given["windows"] == windows
    if stage != "teacher":
        assert given["teacher"] == f"the teacher of {model.uri}"
    assert (given["seed"], given["compute_dtype"]) == (7, "bfloat16")


@pytest.mark.parametrize(
    ("stage", "module"), [("teacher", teacher_trainer), ("search", student_searcher)]
)
def test_a_stage_trains_under_the_strategy_that_is_chosen(
    stage: str, module: Any, stages: dict[str, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tf.distribute.OneDeviceStrategy("/cpu:0")
    monkeypatch.setattr(module, "choose_strategy", lambda: chosen)
    assert stages[stage]()["strategy"] is chosen


def test_every_input_of_a_training_makes_it_another_one(
    stages: dict[str, Stage],
    sequences: Sequences,
    statistics: SequenceStatistics,
    model: Model,
    tmp_path: Path,
) -> None:
    """Checkpoints lie in a folder for each; one that was interrupted is found again."""
    other_log = _with_statistics(sequences, statistics, tmp_path / "log", data_fingerprint="other")
    other_windows = _with_statistics(sequences, statistics, tmp_path / "last", windows="last")
    other_teacher = make_artifact(Model, tmp_path / "teacher")
    Path(other_teacher.uri, artifacts.KERAS_MODEL_FILE).write_bytes(b"another teacher")
    other_genotype = Genotype.from_primitives(2, [["conv_5", "skip", "none"]])
    changes: list[dict[str, Any]] = [
        {"sequences": other_log},
        {"code_fingerprint": "other code"},
        {"seed": 8},
        {"compute_dtype": "float32"},
    ]
    of_students: list[dict[str, Any]] = [
        {"teacher": other_teacher},
        {"student_config": STUDENT.replace(hidden_dim=6).to_json()},
        {"distillation_config": DISTILLATION.replace(kd_weight=0.25).to_json()},
    ]
    of_stage: dict[str, list[dict[str, Any]]] = {
        "teacher": [
            {"sequences": other_windows},
            {"teacher_config": TEACHER.replace(hidden_dim=6).to_json()},
            {"training_config": TRAINING.replace(patience=3).to_json()},
        ],
        "search": [
            *of_students,
            {"search_config": SEARCH.replace(max_bytes=9).to_json()},
            {"cost_table_fingerprint": "other costs"},
            {"genotype_fingerprint": "other costs"},  # of another file
        ],
        "student": [
            *of_students,
            {"sequences": other_windows},
            {"genotype": make_genotype(tmp_path / "other genotype", other_genotype)},
        ],
    }
    assert other_genotype != GENOTYPE
    folders: set[Path] = set()
    for stage, own in of_stage.items():
        for number, change in enumerate([{}, *changes, *own]):
            stages[stage](**change)
            found = set((tmp_path / "checkpoints").iterdir())
            assert len(found) == len(folders) + 1, (stage, number, change)
            folders = found
        stages[stage]()
        assert set((tmp_path / "checkpoints").iterdir()) == folders


@pytest.mark.parametrize("stage", STAGES)
def test_another_recipe_is_another_training(
    stage: str, stages: dict[str, Stage], recipe: artifacts.Recipe, tmp_path: Path
) -> None:
    other = make_recipe(
        tmp_path / "other", teacher__dropout=0.25, student__dropout=0.25, search__max_bytes=99
    )
    for one in (recipe, other, recipe):
        stages[stage](recipe=one)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_as_many_teachers_are_trained_at_a_time_as_fit(
    stages: dict[str, Stage], sequences: Sequences, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def count(num_teachers: int, *values: Any) -> int:
        calls.append((num_teachers, values[0], values[2]))
        return 5

    monkeypatch.setattr(teacher_trainer, "count_teachers", count)
    training = TRAINING.replace(num_teachers=3)
    given = stages["teacher"](training_config=training.to_json())
    assert given["num_processes"] == 5
    assert calls == [(3, TEACHER, training)]
