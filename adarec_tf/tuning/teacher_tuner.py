"""The recipe of a scene's teacher: its profile, what that says, and what short trainings say."""

import functools
import logging
import math
import os
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.recipe import (
    Decision,
    Effort,
    Recipe,
    SceneProfile,
    Trial,
    apply_decisions,
)
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.batches import suggest_positions_per_batch
from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.training.devices import count_workers_here
from adarec_tf.training.train_teacher import train_teacher
from adarec_tf.tuning.memory import (
    Need,
    check_memory,
    needs_of_histories,
    needs_of_student,
    needs_of_teacher,
)
from adarec_tf.tuning.priors import SMALL_CATALOG, TeacherSize, student_decisions, teacher_decisions
from adarec_tf.tuning.scene_profile import profile_scene
from adarec_tf.tuning.trials import Candidate, Rung, halving_rungs, run_trials
from adarec_tf.tuning.worker_trials import run_together

logger = logging.getLogger(__name__)

# Positions of an epoch of a trial: enough to tell 1% from noise.
_TRIAL_POSITIONS = 150_000
# How much better than the profile's settings others have to be in a trial as long as the training:
# seeds differ by 0.6%. In shorter ones more, since what learns fast is ahead.
_MARGIN = 0.01
_DROPOUTS = (0.1, 0.2, 0.3, 0.5, 0.6)
_NUM_CANDIDATES = {"none": 0, "quick": 0, "standard": 5, "thorough": 10}


def find_recipe(
    train: Histories,
    valid: Histories,
    *,
    statistics: SequenceStatistics,
    teacher: TeacherConfig,
    training: TrainingConfig,
    fixed: Collection[str] = (),
    effort: Effort,
    seed: int,
    checkpoint_dir: str,
    strategy: tf.distribute.Strategy,
    compute_dtype: str = "float32",
    earlier: Recipe | None = None,
) -> Recipe:
    """Decides what the teacher of a scene is, and how it is trained.

    What the student is follows when the teacher is there (`student_recipe.with_student`).

    Args:
      train: histories to learn from.
      valid: histories with the target that selects.
      statistics: of these histories.
      teacher: as it was given.
      training: likewise.
      fixed: settings given by hand, such as `teacher.dropout`, which stay.
      effort: `none` decides nothing, `quick` goes by the scene's profile, the others try as well.
      seed: of weights, dropout, batches and the users of a trial.
      checkpoint_dir: where trials are kept, for a search that was interrupted to go on.
      strategy: under which trials are trained.
      compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.
      earlier: recipe of an earlier run, whose decisions stay; None decides anew.

    Raises:
      ValueError: what was given by hand does not go with what is decided, what is to be trained
        does not fit the memory, or every trial failed.
    """
    scene = profile_scene(train, statistics)
    if earlier is not None:
        return earlier.replace(scene=scene)
    decisions = [one for one in teacher_decisions(scene, effort) if one.setting not in fixed]
    plan = decisions + student_decisions(scene, TeacherSize(64, 0), effort)
    num_workers = count_workers_here(strategy)
    _check_memory(train, plan, teacher, training, statistics.num_items, num_workers)
    candidates = _candidates(decisions, fixed, teacher)[: _NUM_CANDIDATES[effort]]
    max_epochs = _training(decisions, training).max_epochs
    rungs = halving_rungs(len(candidates), max_epochs) if candidates else []
    if plan:
        _log_plan(scene, plan, training, rungs)
    trials: list[Trial] = []
    if candidates:
        trainer = _CandidateTrainer(
            candidates,
            decisions,
            teacher,
            training,
            scene,
            # All targets: those of the users trained on would be too few to tell candidates apart.
            train=sample_users(train, _num_trial_users(train), seed),
            valid=valid,
            statistics=statistics,
            seed=seed,
            compute_dtype=compute_dtype,
            checkpoint_dir=checkpoint_dir,
            num_workers=num_workers,
        )
        decisions, trials = _decide_by_trials(trainer, rungs, strategy)
    for decision in decisions:
        logger.info("%s", decision, extra={"line": str(decision)})
    return Recipe(effort=effort, scene=scene, decisions=tuple(decisions), trials=tuple(trials))


class _CandidateTrainer(NamedTuple):
    """Trains candidates on the same users; all users' targets judge them.

    Attributes:
      candidates: may be trained.
      decisions: what the profile says, of which each candidate changes something.
      teacher: as it was given.
      training: likewise.
      scene: its profile.
      train: histories of the users that trials learn from.
      valid: histories with the target that selects.
      statistics: of all histories.
      seed: of weights, dropout and batches.
      compute_dtype: of the catalog logits.
      checkpoint_dir: where interrupted trainings continue from.
      num_workers: that share this machine.
    """

    candidates: Sequence[Candidate]
    decisions: Sequence[Decision]
    teacher: TeacherConfig
    training: TrainingConfig
    scene: SceneProfile
    train: Histories
    valid: Histories
    statistics: SequenceStatistics
    seed: int
    compute_dtype: str
    checkpoint_dir: str
    num_workers: int

    def __call__(self, number: int, epochs: int) -> float:
        """Trains one; what was trained as long before is not trained again.

        Args:
          number: of the candidate.
          epochs: at most.

        Returns:
          NDCG@10 on validation of the best epoch.

        Raises:
          ValueError: it does not fit the memory.
        """
        tried = _changed(self.decisions, self.candidates[number].changes, "")
        teacher = apply_decisions(tried, "teacher", self.teacher, ())
        training = _trial_training(_training(tried, self.training), epochs, self.scene)
        num_items, max_length = self.statistics.num_items, self.statistics.max_length
        needs = needs_of_teacher(num_items, teacher, training.replace(num_teachers=1))
        check_memory("A trial", [_needs_of(self.train), *needs], self.num_workers)
        model = build_teacher(teacher, num_items, max_length, seed=self.seed)
        records = train_teacher(
            model,
            self.train,
            self.valid,
            training,
            seen=self.statistics.seen,
            seed=self.seed,
            checkpoint_dir=os.path.join(self.checkpoint_dir, f"candidate_{number}", str(epochs)),
            windows=self.statistics.windows,
            compute_dtype=self.compute_dtype,
        )
        return max(record[MONITOR] for record in records)


def _check_memory(
    train: Histories,
    plan: Sequence[Decision],
    teacher: TeacherConfig,
    training: TrainingConfig,
    num_items: int,
    num_workers: int,
) -> None:
    """Checks that what is to be trained fits the memory.

    Of the student only what its own settings do not change is known here: they are not given yet.

    Args:
      train: histories to learn from.
      plan: decisions about the teacher, and about a student of any teacher.
      teacher: as it was given.
      training: likewise.
      num_items: of the catalog.
      num_workers: that share this machine.
    """
    teacher = apply_decisions(plan, "teacher", teacher, ())
    training = _training(plan, training)
    needs = [_needs_of(train), *needs_of_teacher(num_items, teacher, training)]
    check_memory("The training of the teacher", needs, num_workers)
    if any(one.setting.startswith("distillation.") for one in plan):
        config = apply_decisions(plan, "distillation", DistillationConfig(), ())
        width, batch = training.num_teachers * teacher.hidden_dim, config.positions_per_batch
        needs = [_needs_of(train), *needs_of_student(num_items, width, 0, batch, config)]
        check_memory("The distillation of the student", needs)


def _needs_of(train: Histories) -> Need:
    return needs_of_histories(train.num_users, len(train.item_ids))


def _decide_by_trials(
    trainer: _CandidateTrainer, rungs: Sequence[Rung], strategy: tf.distribute.Strategy
) -> tuple[list[Decision], list[Trial]]:
    """The decisions with the changes of the best candidate, and all trials.

    Args:
      trainer: of the candidates.
      rungs: the rounds.
      strategy: under which they are trained.
    """
    candidates = trainer.candidates
    max_epochs = _training(trainer.decisions, trainer.training).max_epochs
    run = functools.partial(
        run_trials,
        candidates,
        rungs,
        directory=os.path.join(trainer.checkpoint_dir, "tuner"),
        seed=trainer.seed,
        margin=_margin(rungs[-1].epochs / max_epochs, trainer.scene),
    )
    with strategy.scope():
        best, trials = run_together(run, trainer, strategy)
    reason = _reason(trials, candidates, best)
    return _changed(trainer.decisions, candidates[best].changes, reason), trials


def _log_plan(
    scene: SceneProfile,
    decisions: Sequence[Decision],
    training: TrainingConfig,
    rungs: Sequence[Rung],
) -> None:
    """Logs how many positions each stage will train on, for a forecast of the run.

    Args:
      scene: its profile.
      decisions: of teacher and student.
      training: as it was given.
      rungs: the rounds of trials that are still to be run.
    """
    training = _training(decisions, training)
    search = apply_decisions(decisions, "search", SearchConfig(), ())
    distillation = apply_decisions(decisions, "distillation", DistillationConfig(), ())
    trial_epochs = sum(rung.size * rung.epochs for rung in rungs)
    searched = min(1.0, search.max_users / scene.num_users)
    work = {
        "TeacherTuner": trial_epochs * min(scene.num_positions, _TRIAL_POSITIONS),
        "TeacherTrainer": training.num_teachers * training.max_epochs * scene.num_positions,
        "StudentSearcher": search.max_epochs * searched * scene.num_positions,
        "StudentDistiller": distillation.max_epochs * scene.num_positions,
    }
    logger.debug("plan %s", work, extra={"plan": work})


def _margin(share: float, scene: SceneProfile) -> float:
    """How many times as good as the profile's settings others have to be.

    Args:
      share: of the training's epochs, that the last trials have.
      scene: its profile; trials do not have all positions of a large one.
    """
    share *= min(1.0, _TRIAL_POSITIONS / max(1, scene.num_positions))
    return 1 + _MARGIN / share


def _training(decisions: Sequence[Decision], training: TrainingConfig) -> TrainingConfig:
    return apply_decisions(decisions, "training", training, ())


def _candidates(
    decisions: Sequence[Decision], fixed: Collection[str], teacher: TeacherConfig
) -> list[Candidate]:
    """What the profile says, and that with one thing changed, the likeliest gains first.

    None where nothing is left to choose.
    """
    values: dict[str, Any] = {one.setting: one.value for one in decisions}
    if not values:
        return []
    dropout = values.get("teacher.dropout", teacher.dropout)
    lower = max((one for one in _DROPOUTS if one < dropout), default=dropout)
    higher = min((one for one in _DROPOUTS if one > dropout), default=dropout)
    width = values.get("teacher.hidden_dim", teacher.hidden_dim)
    other_width = 64 if width >= 128 else 2 * width
    blocks = values.get("teacher.num_blocks", teacher.num_blocks)
    batch = values.get("training.positions_per_batch", 1024)
    changes: list[dict[str, Any]] = [
        {},
        {"teacher.dropout": lower},
        {"teacher.hidden_dim": other_width},
        {"teacher.name": "nextitnet"},
        {"teacher.dropout": higher},
        {"teacher.num_blocks": blocks + 1},
        {"training.positions_per_batch": max(64, batch // 2)},
        {"teacher.hidden_dim": other_width, "teacher.dropout": higher},
        {"training.positions_per_batch": 2 * batch},
        {"teacher.name": "bert4rec"},
    ]
    candidates = [
        Candidate(_name(change), change)
        for change in changes
        if not set(change) & set(fixed) and all(values.get(k) != v for k, v in change.items())
    ]
    return candidates if len(candidates) > 1 else []


def _name(changes: dict[str, Any]) -> str:
    return ", ".join(f"{setting}={value}" for setting, value in changes.items()) or "profile"


def _changed(decisions: Sequence[Decision], changes: Any, reason: str) -> list[Decision]:
    """Decisions with other values."""
    return [
        one.replace(value=changes[one.setting], reason=reason or one.reason)
        if one.setting in changes
        else one
        for one in decisions
    ]


def _reason(trials: Sequence[Trial], candidates: Sequence[Candidate], best: int) -> str:
    """The figures of a choice: the longest trials of the chosen and of what the profile says."""
    ndcg = {trial.candidate: trial.ndcg for trial in trials if trial.ndcg is not None}
    chosen, first = (ndcg.get(candidates[number].name) for number in (best, 0))
    if chosen is None or first is None:
        return "chosen by trials"
    return f"in trials NDCG@10 {chosen:.4f} on validation, {first:.4f} by the profile"


def _trial_training(training: TrainingConfig, epochs: int, scene: SceneProfile) -> TrainingConfig:
    """The training of a trial, which has to get far in few epochs of fewer users.

    Args:
      training: what the trial is for.
      epochs: of the trial.
      scene: its profile; a sampled loss does for more than a few items.
    """
    num_positions = min(scene.num_positions, _TRIAL_POSITIONS)
    batch = suggest_positions_per_batch(num_positions, scene.mean_length, scene.max_length)
    return training.replace(
        max_epochs=epochs,
        learning_rate=training.learning_rate * math.sqrt(max(1, training.max_epochs / epochs)),
        positions_per_batch=min(training.positions_per_batch, batch),
        loss="sampled_softmax" if scene.num_items > SMALL_CATALOG else training.loss,
    )


def _num_trial_users(train: Histories) -> int:
    """So many users that an epoch of them is short; 0 where all are."""
    num_positions = int(np.maximum(train.lengths - 1, 0).sum())
    if num_positions <= _TRIAL_POSITIONS:
        return 0
    return max(1, round(train.num_users * _TRIAL_POSITIONS / num_positions))
