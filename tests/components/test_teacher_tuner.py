from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adarec_tf.config.recipe import Recipe
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.storage.history_files import read_histories
from components import artifacts, teacher_tuner
from components.artifacts import Sequences
from components.recipes import read_recipe
from tests.adarec_tf import hand_made_recipe
from tests.components.conftest import make_artifact, make_recipe

TEACHER = SASRecConfig(hidden_dim=12, dropout=0.45)
TRAINING = TrainingConfig(max_epochs=7)


def tune(tmp_path: Path, sequences: Sequences, **changes: Any) -> Recipe:
    made = make_artifact(artifacts.Recipe, tmp_path / "made")
    arguments = {
        "teacher_config": TEACHER.to_json(),
        "training_config": TRAINING.to_json(),
        "fixed": "",
        "effort": "quick",
        "compute_dtype": "float32",
        "seed": 5,
        "code_fingerprint": "code",
        "checkpoint_dir": str(tmp_path / "checkpoints"),
    }
    teacher_tuner.TeacherTuner.test_call(
        sequences=sequences, recipe=made, **{**arguments, **changes}
    )
    assert list((tmp_path / "checkpoints").glob("*")) == []
    return read_recipe(made.uri)


def test_the_recipe_of_a_scene_is_written(
    tmp_path: Path, sequences: Sequences, statistics: SequenceStatistics
) -> None:
    recipe = tune(tmp_path, sequences, fixed="teacher.dropout training.max_epochs")
    assert recipe.effort == "quick"
    scene = recipe.scene
    assert (scene.num_users, scene.num_items) == (statistics.num_users, statistics.num_items)
    assert (scene.mean_length, scene.windows, scene.max_length) == (4.0, "all", 8)
    decided = {decision.setting for decision in recipe.decisions}
    assert {"teacher.name", "training.loss"} < decided
    assert {name.partition(".")[0] for name in decided} == {"teacher", "training"}
    assert not decided & {"teacher.dropout", "training.max_epochs"}


def test_what_is_found_out_is_told_all_that_it_depends_on(
    tmp_path: Path,
    sequences: Sequences,
    statistics: SequenceStatistics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, calls = hand_made_recipe.recipe(teacher__dropout=0.5), []

    def record(*histories: Any, **options: Any) -> Recipe:
        calls.append((histories, options))
        assert Path(options["checkpoint_dir"]).is_dir()
        return found

    monkeypatch.setattr(teacher_tuner, "find_recipe", record)
    given = tune(
        tmp_path,
        sequences,
        fixed="teacher.dropout training.loss",
        effort="thorough",
        compute_dtype="bfloat16",
    )
    assert given == found
    [(histories, options)] = calls
    for split, told in zip(("train", "valid"), histories, strict=True):
        expected = read_histories(sequences.uri, split)
        np.testing.assert_array_equal(told.targets, expected.targets)
        np.testing.assert_array_equal(told.item_ids, expected.item_ids)
    for name, value in {
        "statistics": statistics,
        "teacher": TEACHER,
        "training": TRAINING,
        "fixed": ["teacher.dropout", "training.loss"],
        "effort": "thorough",
        "seed": 5,
        "compute_dtype": "bfloat16",
    }.items():
        assert options[name] == value, name


def test_trials_of_another_scene_or_setting_are_not_gone_on_with(
    tmp_path: Path, sequences: Sequences, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*histories: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(teacher_tuner, "find_recipe", stop)
    for changes in (
        {},
        {},
        {"fixed": "teacher.dropout"},
        {"effort": "thorough"},
        {"compute_dtype": "bfloat16"},
        {"seed": 6},
        {"teacher_config": TEACHER.replace(dropout=0.1).to_json()},
        {"training_config": TRAINING.replace(patience=9).to_json()},
    ):
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path, sequences, **changes)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 7


def test_a_run_that_continues_keeps_the_recipe_and_profiles_its_own_scene(
    tmp_path: Path, sequences: Sequences, statistics: SequenceStatistics
) -> None:
    decided = {"teacher__dropout": 0.5, "student__hidden_dim": 24}
    earlier = make_recipe(tmp_path / "earlier", **decided)
    recipe = tune(tmp_path, sequences, effort="none", initial_recipe=earlier.uri)
    expected = hand_made_recipe.recipe(**decided)
    assert recipe.scene.num_items == statistics.num_items != expected.scene.num_items
    assert recipe.replace(scene=expected.scene) == expected
