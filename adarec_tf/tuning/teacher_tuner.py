"""The recipe of a scene's teacher: its profile, what that says, and what short trainings say."""

import functools
import logging
import math
import os
from collections.abc import Collection, Sequence

import tensorflow as tf

from adarec_tf.config.distillation import MAX_POSITIONS, DistillationConfig
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
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.search.searcher import count_validations
from adarec_tf.search.selection.validation import count_scores
from adarec_tf.training.devices import count_workers_here
from adarec_tf.tuning.candidates import (
    CandidateTrainer,
    changed,
    likely_candidates,
    trial_share,
    trial_users,
)
from adarec_tf.tuning.memory import (
    check_memory,
    count_teachers,
    needs_of_histories,
    needs_of_student,
    needs_of_teacher,
)
from adarec_tf.tuning.priors import TeacherSize, student_decisions, teacher_decisions
from adarec_tf.tuning.scene_profile import profile_scene
from adarec_tf.tuning.trials import Candidate, Rung, halving_rungs, run_trials, with_pairs
from adarec_tf.tuning.worker_trials import run_together

logger = logging.getLogger(__name__)

# How much better than the profile's settings others have to be in a trial as long as the training:
# seeds differ by 0.6%. In shorter ones more, since what learns fast is ahead.
_MARGIN = 0.01
# Trials that have to be so much better tell nothing: they would see too little of a large scene.
_MOST_MARGIN = 1.5
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
    candidates = likely_candidates(decisions, fixed, teacher)[: _NUM_CANDIDATES[effort]]
    likely = apply_decisions(decisions, "teacher", teacher, ())
    its_training = apply_decisions(decisions, "training", training, ())
    rungs = halving_rungs(len(candidates), its_training.max_epochs) if candidates else []
    if candidates and _margin(rungs, its_training, scene) > _MOST_MARGIN:
        line = f"No trials: {trial_share(scene):.1%} of the positions would be too few to tell"
        logger.info("%s", line, extra={"line": line})
        candidates, rungs = [], []
    count = functools.partial(
        count_teachers,
        train=train,
        training=its_training,
        num_items=statistics.num_items,
        strategy=strategy,
    )
    # Candidates may be twice as wide.
    num_trials = count(len(candidates), likely.replace(hidden_dim=2 * likely.hidden_dim))
    if plan:
        num_teachers = count(its_training.num_teachers, likely)
        _log_plan(scene, plan, training, rungs, num_trials, num_teachers)
    trials: list[Trial] = []
    if candidates:
        trainer = CandidateTrainer(
            candidates=with_pairs(candidates),
            decisions=decisions,
            teacher=teacher,
            training=training,
            scene=scene,
            train=trial_users(train, seed),
            # All targets: those of the users trained on would be too few to tell candidates apart.
            valid=valid,
            statistics=statistics,
            seed=seed,
            compute_dtype=compute_dtype,
            checkpoint_dir=checkpoint_dir,
            num_workers=num_workers,
        )
        decisions, trials = _decide_by_trials(trainer, rungs, strategy, num_trials)
    for decision in decisions:
        logger.info("%s", decision, extra={"line": str(decision)})
    return Recipe(effort=effort, scene=scene, decisions=tuple(decisions), trials=tuple(trials))


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
    training = apply_decisions(plan, "training", training, ())
    histories = needs_of_histories(train)
    needs = [histories, *needs_of_teacher(num_items, teacher, training)]
    check_memory("The training of the teacher", needs, num_workers)
    if any(one.setting.startswith("distillation.") for one in plan):
        config = apply_decisions(plan, "distillation", DistillationConfig(), ())
        width, batch = training.num_teachers * teacher.hidden_dim, config.positions_per_batch
        needs = [histories, *needs_of_student(num_items, width, 0, batch, config)]
        check_memory("The distillation of the student", needs)


def _decide_by_trials(
    trainer: CandidateTrainer,
    rungs: Sequence[Rung],
    strategy: tf.distribute.Strategy,
    num_processes: int,
) -> tuple[list[Decision], list[Trial]]:
    """The decisions with the changes of the best candidate, and all trials.

    Args:
      trainer: of the candidates.
      rungs: the rounds.
      strategy: under which they are trained.
      num_processes: that train at a time.
    """
    candidates = trainer.candidates
    training = apply_decisions(trainer.decisions, "training", trainer.training, ())
    run = functools.partial(
        run_trials,
        candidates,
        rungs,
        directory=os.path.join(trainer.checkpoint_dir, "tuner"),
        seed=trainer.seed,
        margin=_margin(rungs, training, trainer.scene),
        num_processes=num_processes,
    )
    with strategy.scope():
        best, trials = run_together(run, trainer, strategy)
    reason = _reason(trials, candidates, best)
    return changed(trainer.decisions, candidates[best].changes, reason), trials


def _log_plan(
    scene: SceneProfile,
    decisions: Sequence[Decision],
    training: TrainingConfig,
    rungs: Sequence[Rung],
    num_trials: int,
    num_teachers: int,
) -> None:
    """Logs what each stage will train on and rank, for a forecast of the run.

    Args:
      scene: its profile.
      decisions: of teacher and student.
      training: as it was given.
      rungs: the rounds of trials that are still to be run.
      num_trials: at a time, which count once.
      num_teachers: likewise.
    """
    training = apply_decisions(decisions, "training", training, ())
    search = apply_decisions(decisions, "search", SearchConfig(), ())
    distillation = apply_decisions(decisions, "distillation", DistillationConfig(), ())
    trial_epochs = sum(math.ceil(rung.size / num_trials) * rung.epochs for rung in rungs)
    teacher_epochs = math.ceil(training.num_teachers / num_teachers) * training.max_epochs
    searched = min(1.0, search.max_users / scene.num_users)
    positions = {
        "TeacherTuner": trial_epochs * trial_share(scene) * scene.num_positions,
        "TeacherTrainer": teacher_epochs * scene.num_positions,
        "StudentSearcher": search.max_epochs * searched * scene.num_positions,
        "StudentDistiller": distillation.max_epochs * min(MAX_POSITIONS, scene.num_positions),
    }
    scores = count_validations(search) * count_scores(scene.num_users, scene.num_items)
    plan = positions, {"StudentSearcher": scores}
    logger.debug("plan %s", plan, extra={"plan": plan})


def _margin(rungs: Sequence[Rung], training: TrainingConfig, scene: SceneProfile) -> float:
    """How many times as good as the profile's settings others have to be.

    Args:
      rungs: the rounds; the last one may have a part of the training's epochs.
      training: that the trials are for.
      scene: its profile; trials do not have all positions of a large one.
    """
    share = min(1.0, rungs[-1].epochs / training.max_epochs)
    return 1 + _MARGIN / (share * trial_share(scene))


def _reason(trials: Sequence[Trial], candidates: Sequence[Candidate], best: int) -> str:
    """The figures of a choice: the longest trials of the chosen and of what the profile says."""
    ndcg = {trial.candidate: trial.ndcg for trial in trials if trial.ndcg is not None}
    chosen, first = (ndcg.get(candidates[number].name) for number in (best, 0))
    if chosen is None or first is None:
        return "chosen by trials"
    return f"in trials NDCG@10 {chosen:.4f} on validation, {first:.4f} by the profile"
