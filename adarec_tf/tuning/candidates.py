"""What trials try, and how a trial trains it."""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adarec_tf.config.recipe import Decision, SceneProfile, apply_decisions
from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.batches import suggest_positions_per_batch
from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.training.train_teacher import train_teacher
from adarec_tf.tuning.memory import check_memory, needs_of_histories, needs_of_teacher
from adarec_tf.tuning.priors import SMALL_CATALOG
from adarec_tf.tuning.trials import Candidate

# Positions of an epoch of a trial: enough to tell 1% from noise.
TRIAL_POSITIONS = 150_000
# What is tried.
DROPOUTS = (0.1, 0.2, 0.3, 0.5, 0.6)


def likely_candidates(
    decisions: Sequence[Decision], fixed: Collection[str], teacher: TeacherConfig
) -> list[Candidate]:
    """What the profile says, and that with one thing changed, the likeliest gains first.

    None where nothing is left to choose.

    Args:
      decisions: what the profile says of teacher and training.
      fixed: settings that were given by hand, which stay.
      teacher: as it was given.
    """
    values: dict[str, Any] = {one.setting: one.value for one in decisions}
    if not values:
        return []
    dropout = values.get("teacher.dropout", teacher.dropout)
    lower = max((one for one in DROPOUTS if one < dropout), default=dropout)
    higher = min((one for one in DROPOUTS if one > dropout), default=dropout)
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


def changed(
    decisions: Sequence[Decision], changes: Mapping[str, Any], reason: str
) -> list[Decision]:
    """Decisions with other values.

    Args:
      decisions: of any settings.
      changes: setting to value.
      reason: of the changed ones; empty: as before.
    """
    return [
        one.replace(value=changes[one.setting], reason=reason or one.reason)
        if one.setting in changes
        else one
        for one in decisions
    ]


@dataclass(frozen=True, kw_only=True)
class CandidateTrainer:
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
        tried = changed(self.decisions, self.candidates[number].changes, "")
        teacher = apply_decisions(tried, "teacher", self.teacher, ())
        training = _trial_training(
            apply_decisions(tried, "training", self.training, ()), epochs, self.scene
        )
        num_items, max_length = self.statistics.num_items, self.statistics.max_length
        needs = needs_of_teacher(num_items, teacher, training.replace(num_teachers=1))
        check_memory("A trial", [needs_of_histories(self.train), *needs], self.num_workers)
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


def _trial_training(training: TrainingConfig, epochs: int, scene: SceneProfile) -> TrainingConfig:
    """The training of a trial, which has to get far in few epochs of fewer users.

    Args:
      training: what the trial is for.
      epochs: of the trial.
      scene: its profile; a sampled loss does for more than a few items.
    """
    num_positions = round(trial_share(scene) * scene.num_positions)
    batch = suggest_positions_per_batch(num_positions, scene.mean_length, scene.max_length)
    return training.replace(
        max_epochs=epochs,
        learning_rate=training.learning_rate * math.sqrt(max(1, training.max_epochs / epochs)),
        positions_per_batch=min(training.positions_per_batch, batch),
        loss="sampled_softmax" if scene.num_items > SMALL_CATALOG else training.loss,
    )


def trial_users(train: Histories, seed: int) -> Histories:
    """So many users that an epoch of them is short.

    Args:
      train: histories of all.
      seed: of the draw.
    """
    num_positions = int(np.maximum(train.lengths - 1, 0).sum())
    if num_positions <= TRIAL_POSITIONS:
        return train
    return sample_users(
        train, max(1, round(train.num_users * TRIAL_POSITIONS / num_positions)), seed
    )


def trial_share(scene: SceneProfile) -> float:
    """The part of a scene's positions that a trial is trained on."""
    return min(1.0, TRIAL_POSITIONS / max(1, scene.num_positions))
