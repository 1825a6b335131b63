"""The recipe of a tiny scene; where not said otherwise, with figures in place of trainings."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.recipe import Effort, Recipe, Trial
from adarec_tf.config.teacher import SASRecConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.log.built_in import generate_sample_scene
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.tuning import candidates, memory, teacher_tuner
from adarec_tf.tuning.memory import Need, needs_of_histories, needs_of_teacher
from adarec_tf.tuning.priors import teacher_decisions
from adarec_tf.tuning.scene_profile import profile_scene
from adarec_tf.tuning.teacher_tuner import find_recipe
from adarec_tf.tuning.trials import Rung

DATA = Dataset.from_interactions(generate_sample_scene(num_users=80), max_length=8)
TEACHER = SASRecConfig(hidden_dim=8, num_blocks=1, feed_forward_dim=8, dropout=0.45)
TRAINING = TrainingConfig(max_epochs=2, learning_rate=0.007, positions_per_batch=512)
FIRST = "profile"

Trained = tuple[TeacherConfig, TrainingConfig]
Score = Callable[[TeacherConfig, TrainingConfig], float]


def find(tmp_path: Any, effort: Effort = "standard", **options: Any) -> Recipe:
    given = {"teacher": TEACHER, "training": TRAINING, "seed": 3}
    given |= {"statistics": DATA.statistics, **options}
    return find_recipe(
        DATA.train,
        DATA.valid,
        effort=effort,
        checkpoint_dir=str(tmp_path),
        strategy=tf.distribute.get_strategy(),
        **given,
    )


class Trainings:
    """What takes the place of a training: it notes what it is given, and gives a figure."""

    def __init__(self) -> None:
        self.done: list[Trained] = []
        self.data: list[tuple[Histories, Histories]] = []
        self.options: list[dict[str, Any]] = []
        self.built: list[dict[str, Any]] = []
        self.score: Score = lambda teacher, training: 0.5

    def build(self, config: TeacherConfig, *sizes: int, seed: int) -> SimpleNamespace:
        self.built.append({"sizes": sizes, "seed": seed})
        return SimpleNamespace(config=config)

    def train(
        self,
        model: SimpleNamespace,
        train: Histories,
        valid: Histories,
        training: TrainingConfig,
        **options: Any,
    ) -> list[dict[str, float]]:
        self.done.append((model.config, training))
        self.data.append((train, valid))
        self.options.append(options)
        figure = self.score(model.config, training)
        return [{MONITOR: figure / 2}, {MONITOR: figure}, {MONITOR: 0.0}]  # the best epoch counts


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    made = Trainings()
    monkeypatch.setattr(candidates, "build_teacher", made.build)
    monkeypatch.setattr(candidates, "train_teacher", made.train)
    # Other processes would train.
    monkeypatch.setattr(teacher_tuner, "count_teachers", lambda *values, **options: 1)
    return made


def decided(recipe: Recipe) -> dict[str, Any]:
    return {decision.setting: decision.value for decision in recipe.decisions}


def test_without_effort_nothing_is_decided_and_the_scene_is_known(
    tmp_path: Any, trainings: Trainings
) -> None:
    recipe = find(tmp_path, "none")
    scene = profile_scene(DATA.train, DATA.statistics)
    assert recipe == Recipe(effort="none", scene=scene)
    assert trainings.done == []


def test_a_quick_recipe_is_what_the_profile_says(tmp_path: Any, trainings: Trainings) -> None:
    recipe = find(tmp_path, "quick")
    assert trainings.done == []
    assert recipe.trials == ()
    assert recipe.decisions == tuple(teacher_decisions(recipe.scene, "quick"))


def test_a_scene_of_which_trials_would_see_too_little_has_none(
    tmp_path: Any, trainings: Trainings, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    num_positions = profile_scene(DATA.train, DATA.statistics).num_positions
    monkeypatch.setattr(candidates, "TRIAL_POSITIONS", num_positions // 100)
    with caplog.at_level("INFO"):
        recipe = find(tmp_path)
    assert trainings.done == []
    assert recipe.trials == ()
    assert recipe.decisions == tuple(teacher_decisions(recipe.scene, "standard"))
    assert "No trials: 1.0% of the positions" in caplog.text


def test_trials_are_of_the_scene_and_its_first_is_the_profile(
    tmp_path: Any, trainings: Trainings
) -> None:
    recipe = find(tmp_path, compute_dtype="bfloat16")
    assert len(recipe.trials) == len(trainings.done) > 3
    assert len({trial.candidate for trial in recipe.trials}) < len(recipe.trials)
    first = recipe.trials[0]
    assert (first.candidate, first.ndcg) == (FIRST, 0.5)
    profile = recipe.replace(decisions=tuple(teacher_decisions(recipe.scene, "standard")))
    teacher, training = trainings.done[0]
    assert teacher == profile.applied("teacher", TEACHER, ())
    expected = profile.applied("training", TRAINING, ())
    assert (training.max_epochs, training.patience) == (first.epochs, expected.patience)
    assert len({str(one) for one in trainings.done}) == len(trainings.done)
    sizes = (DATA.statistics.num_items, DATA.max_length)
    assert trainings.built == [{"sizes": sizes, "seed": 3}] * len(trainings.done)
    for options in trainings.options:
        told = {name: options[name] for name in ("seed", "seen", "windows", "compute_dtype")}
        assert told == {
            "seed": 3,
            "seen": DATA.seen,
            "windows": DATA.statistics.windows,
            "compute_dtype": "bfloat16",
        }
    folders = {options["checkpoint_dir"] for options in trainings.options}
    assert len(folders) == len(trainings.done)
    assert all(Path(folder).is_relative_to(tmp_path) for folder in folders)
    find(tmp_path / "last", statistics=replace(DATA.statistics, windows="last"))
    assert trainings.options[-1]["windows"] == "last" != DATA.statistics.windows
    # Of equal figures those of the profile stay.
    assert recipe.decisions == profile.decisions


def test_all_workers_of_the_strategy_run_the_trials(
    tmp_path: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def run_together(run: Any, train: Any, strategy: Any) -> Any:
        told.append(strategy)
        return run(train)

    monkeypatch.setattr(teacher_tuner, "run_together", run_together)
    assert find(tmp_path).trials
    assert told == [tf.distribute.get_strategy()]


def test_a_shorter_trial_has_a_higher_rate(tmp_path: Any, trainings: Trainings) -> None:
    recipe = find(tmp_path)
    rates = {training.max_epochs: training.learning_rate for _, training in trainings.done}
    rates[decided(recipe)["training.max_epochs"]] = decided(recipe)["training.learning_rate"]
    assert len(rates) == 3
    assert [rates[epochs] for epochs in sorted(rates)] == sorted(rates.values(), reverse=True)


def test_more_effort_tries_more(tmp_path: Any, trainings: Trainings) -> None:
    standard = {trial.candidate for trial in find(tmp_path / "a").trials}
    assert standard < {trial.candidate for trial in find(tmp_path / "b", "thorough").trials}


def test_what_is_best_in_trials_is_decided_and_says_why(
    tmp_path: Any, trainings: Trainings
) -> None:
    trainings.score = lambda teacher, training: 0.5 + 0.1 * (teacher.name == "nextitnet")
    recipe = find(tmp_path)
    [decision] = [one for one in recipe.decisions if one.setting == "teacher.name"]
    assert decision.value == "nextitnet"
    assert decision.reason == "in trials NDCG@10 0.6000 on validation, 0.5000 by the profile"
    said = teacher_decisions(recipe.scene, "standard")
    others = [one for one in recipe.decisions if one != decision]
    assert others == [one for one in said if one.setting != "teacher.name"]


def test_the_shorter_a_trial_is_the_more_it_takes_to_change_the_profile(
    tmp_path: Any, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings.score = lambda teacher, training: 0.5 + 0.03 * (teacher.name == "nextitnet")
    assert decided(find(tmp_path / "long"))["teacher.name"] == "nextitnet"
    num_positions = int((DATA.train.lengths - 1).sum())
    monkeypatch.setattr(candidates, "TRIAL_POSITIONS", num_positions // 4)
    assert decided(find(tmp_path / "short"))["teacher.name"] == "sasrec"


FIXED = ("teacher.dropout", "teacher.name", "training.positions_per_batch", "training.max_epochs")


def test_what_is_fixed_is_never_changed_and_never_tried(
    tmp_path: Any, trainings: Trainings
) -> None:
    trainings.score = lambda teacher, training: 1.0 + teacher.dropout + teacher.num_blocks
    recipe = find(tmp_path, "thorough", fixed=FIXED)
    assert recipe.trials
    for teacher, _ in trainings.done:
        assert (teacher.name, teacher.dropout) == (TEACHER.name, TEACHER.dropout)
    tried = " ".join(trial.candidate for trial in recipe.trials)
    for setting in FIXED:
        assert setting not in decided(recipe)
        assert setting not in tried


def test_what_clashes_with_what_is_decided_is_an_error_before_anything_is_tried(
    tmp_path: Path, trainings: Trainings
) -> None:
    given = SASRecConfig(hidden_dim=9, num_heads=3)
    with pytest.raises(ValueError, match=r"`num_heads` should be a divisor of hidden_dim=\d+\."):
        find(tmp_path, teacher=given, fixed=("teacher.num_heads",))
    assert trainings.done == []
    assert find(tmp_path, teacher=given, fixed=("teacher.num_heads", "teacher.hidden_dim")).trials


def test_where_nothing_is_left_to_choose_nothing_is_tried(
    tmp_path: Any, trainings: Trainings
) -> None:
    tried = ("teacher.hidden_dim", "teacher.num_blocks")
    recipe = find(tmp_path, "thorough", fixed=(*FIXED, *tried))
    assert trainings.done == []
    assert recipe.trials == ()
    assert "training.num_teachers" in decided(recipe)


@pytest.mark.parametrize("effort", ["none", "quick", "standard"])
def test_what_does_not_fit_the_memory_is_an_error_before_anything_is_tried(
    effort: Effort, tmp_path: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_400_000_000)
    with pytest.raises(ValueError, match=r"^The training of the teacher should fit the memory"):
        find(tmp_path, effort)
    assert trainings.done == []


Needs = list[Need]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[Needs, int]]]:
    """What was checked, by task; a trial that needs something else than the first does not fit."""
    calls: dict[str, list[tuple[Needs, int]]] = {}

    def check(task: str, needs: Needs, num_workers: int = 1) -> None:
        calls.setdefault(task, []).append((needs, num_workers))
        if needs != calls[task][0][0]:
            raise ValueError("It should fit.")

    for module in (teacher_tuner, candidates):
        monkeypatch.setattr(module, "check_memory", check)
    monkeypatch.setattr(teacher_tuner, "count_workers_here", lambda strategy: 3)
    return calls


def test_teacher_and_student_are_checked_as_they_are_decided(
    tmp_path: Path, trainings: Trainings, checked: dict[str, list[tuple[Needs, int]]]
) -> None:
    histories = needs_of_histories(DATA.train)

    def checks_of(effort: Effort) -> dict[str, list[tuple[Needs, int]]]:
        checked.clear()
        recipe = find(tmp_path, effort)
        teacher = recipe.applied("teacher", TEACHER, ())
        training = recipe.applied("training", TRAINING, ())
        needs = [histories, *needs_of_teacher(DATA.num_items, teacher, training)]
        assert checked["The training of the teacher"] == [(needs, 3)]
        return dict(checked)

    assert len(checks_of("none")) == 1
    [(needs, num_workers)] = checks_of("thorough")["The distillation of the student"]
    assert (needs[0], num_workers) == (histories, 1)
    assert "the scores" in needs[2].what


def test_a_trial_that_does_not_fit_the_memory_is_lost(
    tmp_path: Path, trainings: Trainings, checked: dict[str, list[tuple[Needs, int]]]
) -> None:
    recipe = find(tmp_path)
    width = trainings.done[0][0].hidden_dim
    assert {teacher.hidden_dim for teacher, _ in trainings.done} == {width}
    [lost] = [trial.candidate for trial in recipe.trials if trial.ndcg is None]
    assert lost.startswith("teacher.hidden_dim=")
    assert {num_workers for _, num_workers in checked["A trial"]} == {3}


def test_trials_learn_from_some_users_and_are_judged_by_all(
    tmp_path: Any, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_positions = int((DATA.train.lengths - 1).sum())
    find(tmp_path / "all")
    assert all(train is DATA.train for train, _ in trainings.data)
    trainings.data.clear()
    monkeypatch.setattr(candidates, "TRIAL_POSITIONS", num_positions // 4)
    find(tmp_path / "some")
    [train, *_] = [train for train, _ in trainings.data]
    assert train.num_users == pytest.approx(DATA.train.num_users / 4, abs=1)
    for given, valid in trainings.data:
        np.testing.assert_array_equal(given.user_keys, train.user_keys)
        assert valid is DATA.valid


@pytest.mark.slow
def test_equal_seeds_find_equal_recipes(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_tuner, "halving_rungs", lambda *_: [Rung(2, 2)])
    training = TRAINING.replace(learning_rate=0.005, positions_per_batch=64)
    fixed = ("teacher.name", "teacher.hidden_dim", "teacher.feed_forward_dim")
    fixed += ("teacher.num_blocks", "training.learning_rate", "training.positions_per_batch")

    def recipe(folder: str, seed: int) -> Recipe:
        found = find(tmp_path / folder, training=training, fixed=fixed, seed=seed)
        return found.replace(trials=tuple(one.replace(seconds=0.0) for one in found.trials))

    first = recipe("a", 3)
    assert recipe("b", 3) == first
    figures = [trial.ndcg for trial in first.trials]
    assert len(set(figures)) == 2
    assert [trial.ndcg for trial in recipe("c", 4).trials] != figures


def test_trials_and_a_forecast_know_what_is_trained_at_a_time(
    tmp_path: Any, trainings: Trainings, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    counted: dict[int, int] = {}
    given: list[int] = []

    def count(num_teachers: int, teacher: TeacherConfig, **options: Any) -> int:
        counted[num_teachers] = teacher.hidden_dim
        return 2

    def run(*values: Any, num_processes: int, **options: Any) -> tuple[int, list[Trial]]:
        given.append(num_processes)
        return 0, []

    caplog.set_level("DEBUG")
    find(tmp_path / "alone")
    monkeypatch.setattr(teacher_tuner, "count_teachers", count)
    monkeypatch.setattr(teacher_tuner, "run_trials", run)
    width = decided(find(tmp_path / "together"))["teacher.hidden_dim"]
    assert given == [2]
    assert counted == {5: 2 * width, 2: width}  # five candidates, two teachers
    plans = [record.plan for record in caplog.records if hasattr(record, "plan")]
    [(alone, scores), (together, _)] = plans
    # 25 candidates by the validation targets of all users.
    assert scores == {"StudentSearcher": 25 * DATA.train.num_users * DATA.num_items}
    assert alone["TeacherTrainer"] == 2 * together["TeacherTrainer"]
    assert together["TeacherTuner"] < alone["TeacherTuner"] < 2 * together["TeacherTuner"]
    assert alone["StudentSearcher"] == together["StudentSearcher"]
    monkeypatch.setattr(teacher_tuner, "MAX_POSITIONS", 7)  # that a student learns from
    find(tmp_path / "large")
    large, _ = [record.plan for record in caplog.records if hasattr(record, "plan")][-1]
    assert 7 < large["StudentDistiller"] < alone["StudentDistiller"]
    assert large["StudentDistiller"] % 7 == 0
