"""What a recipe says where a log is large, one setting changed at a time, on a tenth of such a log.

    python tests/benchmarks/few_epochs.py

makes the built-in scene `large` with a tenth of its users and items, so that an item is met as
often, and trains what the recipe of the whole scene says: a teacher and a student of two epochs.
Then each again with something else. All figures are on validation, of the same users; students
learn from the recipe's teacher.

Writes `tests/benchmarks/results/few_epochs.json`.
"""

import argparse
import sys
import tempfile
import unittest.mock
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from model_tables import few_epochs
from stored_results import RESULTS, markdown, provenance, write_result

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.recipe import Decision, SceneProfile, apply_decisions
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import sample_users
from adarec_tf.data.log.built_in import generate_large_scene
from adarec_tf.distillation import teacher_cache
from adarec_tf.distillation.distiller import train_student
from adarec_tf.models.students import Genotype
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.callbacks import MONITOR, EpochRecord
from adarec_tf.training.devices import set_threads
from adarec_tf.training.train_teacher import train_teacher
from adarec_tf.tuning.priors import student_decisions, teacher_decisions
from adarec_tf.tuning.scene_profile import profile_scene
from adarec_tf.tuning.student_recipe import size_of

_SHARE, _SEED, _VALID_USERS = 0.1, 1, 8_000
_LEAST_POPULAR = teacher_cache._LEAST_POPULAR
_EDGES = ["conv_3", "conv_5", "max_pool_3"]  # of each of two cells
TEACHERS: dict[str, dict[str, Any]] = {
    "as the recipe says": {},
    "dropout 0.3": {"teacher.dropout": 0.3},
    "dropout 0": {"teacher.dropout": 0.0},
}


class Student(NamedTuple):
    """What differs from the recipe.

    Attributes:
      changes: of settings.
      share: of the users.
      asks: whether the teacher is asked for its best items, among few popular ones.
    """

    changes: dict[str, Any]
    share: float = 1.0
    asks: bool = False


STUDENTS = {
    "as the recipe says": Student({}),
    "one epoch": Student({"distillation.max_epochs": 1}),
    "one epoch, best items asked for": Student({"distillation.max_epochs": 1}, asks=True),
    "half as many batches": Student({"distillation.positions_per_batch": 2048}),
    "scores count .9": Student({"distillation.kd_weight": 0.9}),
    "scores count .2": Student({"distillation.kd_weight": 0.2}),
    "a sixth of the users, twelve times": Student({"distillation.max_epochs": 12}, 1 / 6),
}


def change(decisions: list[Decision], changes: dict[str, Any]) -> list[Decision]:
    """Decisions with other values."""
    return [one.replace(value=changes.get(one.setting, one.value)) for one in decisions]


def whole(profile: SceneProfile) -> SceneProfile:
    """The profile of the scene of which this is the tenth."""
    return profile.replace(
        num_users=round(profile.num_users / _SHARE),
        num_items=round(profile.num_items / _SHARE),
        num_positions=round(profile.num_positions / _SHARE),
    )


def row(kind: str, name: str, history: list[EpochRecord]) -> dict[str, Any]:
    """A training as it is stored."""
    found = {
        "model": kind,
        "training": name,
        "epochs": len(history),
        "ndcg": round(max(record[MONITOR] for record in history), 5),
        "train_s": round(float(np.sum([record["train_s"] for record in history]))),
    }
    print(found, flush=True)
    return found


def measure(folder: Path) -> list[dict[str, Any]]:
    """All trainings; checkpoints are written to this folder."""
    log = generate_large_scene(round(500_000 * _SHARE), round(1_000_000 * _SHARE))
    scene = Dataset.from_interactions(log, user="user_id", item="item_id", time="timestamp")
    profile = whole(profile_scene(scene.train, scene.statistics))
    valid, rows, models = sample_users(scene.valid, _VALID_USERS), [], []
    decided = teacher_decisions(profile, "standard")
    for number, (name, changes) in enumerate(TEACHERS.items()):
        decisions = change(decided, changes)
        teacher = apply_decisions(decisions, "teacher", SASRecConfig(), ())
        model = build_teacher(teacher, scene.num_items, scene.max_length, seed=_SEED)
        history = train_teacher(
            model,
            scene.train,
            valid,
            apply_decisions(decisions, "training", TrainingConfig(), ()),
            seen=scene.seen,
            seed=_SEED,
            checkpoint_dir=str(folder / f"teacher-{number}"),
        )
        models.append(model)
        rows.append(row("teacher", name, history))
    size = size_of(models[0])
    size = size._replace(num_parameters=round(size.num_parameters / _SHARE))
    decided = student_decisions(profile, size, "standard")
    print(*decided, sep="\n", flush=True)
    for number, (name, student) in enumerate(STUDENTS.items()):
        decisions = change(decided, student.changes)
        least = 0 if student.asks else round(_LEAST_POPULAR * _SHARE)
        with unittest.mock.patch.object(teacher_cache, "_LEAST_POPULAR", least):
            _, history = train_student(
                Genotype.from_primitives(2, [_EDGES] * 2),
                apply_decisions(decisions, "student", StudentConfig(), ()),
                models[0],
                sample_users(scene.train, round(student.share * scene.train.num_users)),
                valid,
                apply_decisions(decisions, "distillation", DistillationConfig(), ()),
                statistics=scene.statistics,
                seed=_SEED,
                checkpoint_dir=str(folder / f"student-{number}"),
            )
        rows.append(row("student", name, history))
    return rows


def main() -> None:
    """Measures and stores."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    set_threads()
    # The teacher's best items are looked for among as large a share of the catalog.
    scores = round(teacher_cache._MOST_SCORES * _SHARE**2)
    with (
        tempfile.TemporaryDirectory() as folder,
        unittest.mock.patch.object(teacher_cache, "_MOST_SCORES", scores),
    ):
        rows = measure(Path(folder))
    command = ["python", "tests/benchmarks/few_epochs.py"]
    stored = {**provenance(command, ("tensorflow", "keras", "numpy")), "seed": _SEED, "rows": rows}
    write_result(RESULTS / "few_epochs.json", stored)
    print(markdown(few_epochs("", stored)))


if __name__ == "__main__":
    main()
