"""Distills trained teachers into students, several seeds, and stores what both show.

    python tests/benchmarks/train_teacher.py ... --save TEACHERS
    python tests/benchmarks/distill_student.py --name beauty_16 --scene beauty \
        --data interactions.csv.gz --teachers TEACHERS --student-set hidden_dim=16 \
        --set distillation.logits_weight=1 ...

The student is a smaller model of the teacher's own kind: what its settings leave open is the
teacher's. With `--genotype FILE` it is the network of a genotype instead, of the frame that the
scene's `student` settings describe. With `--teacher-seeds 1 2 3` the teacher of every seed is the
ensemble of those; otherwise a student's teacher is the one of its seed.

With `--gap distilled_ALONE teacher_NAME` (stored results) the share of the gap between those two
that the student closes is stored too.

Writes `tests/benchmarks/results/distilled_<name>.json`. Hyper-parameters are chosen on validation:
runs with `--validation-only` never look at the test targets, and store nothing.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import keras
import tensorflow as tf
from model_tables import distilled
from stored_results import RESULTS, headline, markdown, provenance, write_result
from train_teacher import evaluate, over_seeds

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.distillation.distiller import distill_student
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.evaluation.protocols import model_scorer
from adarec_tf.models.model_cost import count_parameters, encoder_macs, served_macs
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.callbacks import MONITOR
from pipeline.configs import scene_config

_PACKAGES = ("tensorflow", "keras", "numpy", "pot")
HEADLINES = ("hit_rate@10/full", "ndcg@10/full")
_TESTS = ("test_seen_exclude", "test_seen_keep")
_PARTS = ("valid", *_TESTS, *(f"teacher_{part}" for part in _TESTS))


def read_result(name: str) -> dict[str, Any]:
    """A stored result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def read_teacher(folder: str, seeds: list[int]) -> Any:
    """The teacher of a seed, or the ensemble of several."""
    members = [keras.saving.load_model(Path(folder) / f"teacher-{seed}.keras") for seed in seeds]
    return members[0] if len(members) == 1 else EnsembleTeacher(members)


def new_student(
    config: PipelineConfig, genotype: str | None, scene: Dataset, seed: int
) -> keras.Model:
    """A student with fresh weights: that of a genotype, or a model of the teacher's kind."""
    if genotype is None:
        return build_teacher(config.teacher, scene.num_items, scene.max_length, seed=seed)
    architecture = Genotype.from_json(Path(genotype).read_text())
    return build_student(architecture, config.student, scene.num_items, scene.max_length, seed=seed)


def cost(model: keras.Model, max_length: int) -> dict[str, Any]:
    """What a model costs to keep and to run."""
    return {
        "parameters": count_parameters(model)._asdict(),
        "encoder_macs": encoder_macs(model, max_length),
        "served_macs": served_macs(model, max_length),
    }


def measure(
    teacher: Any,
    student: keras.Model,
    config: PipelineConfig,
    scene: Dataset,
    *,
    seed: int,
    checkpoints: str,
    with_test: bool,
) -> dict[str, Any]:
    """One seed's row: the student after its distillation."""
    history = distill_student(
        student,
        teacher,
        scene.train,
        scene.valid,
        config.distillation,
        seen=scene.seen,
        seed=seed,
        checkpoint_dir=f"{checkpoints}/seed-{seed}",
        windows=config.data.windows,
        compute_dtype=config.compute_dtype,
    )
    best = max(history, key=lambda record: record[MONITOR])
    row: dict[str, Any] = {
        "seed": seed,
        "train_s": round(sum(record["train_s"] for record in history), 1),
        "epochs": len(history),
        "best_epoch": history.index(best) + 1,
        **transport(history[-1]),
        "valid": headline(evaluate(model_scorer(student), scene, "valid", scene.seen)),
    }
    if with_test:
        for seen in ("exclude", "keep"):
            row[f"test_seen_{seen}"] = evaluate(model_scorer(student), scene, "test", seen)
            of_teacher = evaluate(model_scorer(teacher), scene, "test", seen)
            row[f"teacher_test_seen_{seen}"] = headline(of_teacher)
    print(json.dumps(row), flush=True)
    return row


def transport(last_epoch: dict[str, float]) -> dict[str, Any]:
    """Plan and masses of the Earth Mover's Distance at the end; nothing where it had no weight."""
    cells = {name: value for name, value in last_epoch.items() if name.startswith("plan[")}
    if not any(cells.values()):
        return {}
    rows, columns = (range(1, 1 + size) for size in plan_shape(cells))
    return {
        "transport": {
            "plan": [[cells[f"plan[{row},{column}]"] for column in columns] for row in rows],
            "student_mass": [last_epoch[f"student_mass[{row}]"] for row in rows],
            "teacher_mass": [last_epoch[f"teacher_mass[{column}]"] for column in columns],
        }
    }


def plan_shape(cells: Iterable[str]) -> tuple[int, int]:
    """The layers of student and teacher, from the last of the names `plan[layer,layer]`."""
    rows, columns = zip(*(name[5:-1].split(",") for name in cells), strict=True)
    return max(map(int, rows)), max(map(int, columns))


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """A seed's row as it is stored: of the student's test metrics those at a cut-off of 10."""
    return {
        name: headline(value) if name in _TESTS else value
        for name, value in row.items()
        if not name.startswith("teacher_")
    }


def gap_closed(
    stored: dict[str, Any], alone: dict[str, Any], teacher: dict[str, Any]
) -> dict[str, float]:
    """The share of the way from a student trained alone to a teacher, of the seeds' means."""
    part = f"test_seen_{stored['seen']}"
    shares = {}
    for metric in HEADLINES:
        reached, start, goal = (
            result["over_seeds"][part][metric]["mean"] for result in (stored, alone, teacher)
        )
        shares[metric] = (reached - start) / (goal - start)
    return shares


def main() -> None:
    """Distills, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--label", required=True, help="what the row of the table says")
    parser.add_argument("--gap", nargs=2, help="names of stored results: student alone, teacher")
    parser.add_argument("--teachers", required=True, help="a folder of teacher-SEED.keras")
    parser.add_argument("--teacher-seeds", type=int, nargs="+", help="of an ensemble")
    parser.add_argument("--genotype", help="a JSON file; without one, a smaller teacher")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--student-set", action="append", default=[], help="of a smaller teacher")
    parser.add_argument("--checkpoints", help="a folder that survives an interruption")
    parser.add_argument("--save", help="a folder for the models, NAME-SEED.keras")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--validation-only", action="store_true")
    options = parser.parse_args()
    if options.save:  # before hours of training, not after
        Path(options.save).mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    settings = [*options.settings, *(f"teacher.{setting}" for setting in options.student_set)]
    config = scene_config(options.scene).override(settings)
    scene = Dataset.from_config(options.data, config.data)
    with tempfile.TemporaryDirectory() as temporary:
        rows = []
        for seed in options.seeds:
            teacher = read_teacher(options.teachers, options.teacher_seeds or [seed])
            student = new_student(config, options.genotype, scene, seed)
            rows.append(
                measure(
                    teacher,
                    student,
                    config,
                    scene,
                    seed=seed,
                    checkpoints=options.checkpoints or temporary,
                    with_test=not options.validation_only,
                )
            )
            if options.save:
                student.save(Path(options.save) / f"{options.name}-{seed}.keras")
    if options.validation_only:
        return
    command = [
        *("python", "tests/benchmarks/distill_student.py", "--name", options.name),
        *("--scene", options.scene, "--data", f"<log>/{Path(options.data).name}"),
        *("--label", options.label, "--teachers", "<teachers>"),
        *(("--gap", *options.gap) if options.gap else ()),
        *(("--teacher-seeds", *map(str, options.teacher_seeds)) if options.teacher_seeds else ()),
        *(("--genotype", Path(options.genotype).name) if options.genotype else ()),
        *("--seeds", *map(str, options.seeds), "--threads", str(options.threads)),
        *(part for setting in options.settings for part in ("--set", setting)),
        *(part for setting in options.student_set for part in ("--student-set", setting)),
    ]
    stored = {
        **provenance(command, _PACKAGES),
        "scene": config.scene,
        "label": options.label,
        "teacher_seeds": options.teacher_seeds or "the student's",
        "seen": scene.seen,
        "student": (config.student if options.genotype else config.teacher).to_dict(),
        "distillation": config.distillation.to_dict(),
        "windows": config.data.windows,
        "compute_dtype": config.compute_dtype,
        "cost": cost(student, scene.max_length),
        "seeds": [summary(row) for row in rows],
        "over_seeds": {part: over_seeds(rows, part) for part in _PARTS},
    }
    stored["gap_closed"] = options.gap and gap_closed(stored, *map(read_result, options.gap))
    path = RESULTS / f"distilled_{options.name}.json"
    write_result(path, stored)
    print(markdown(distilled(path.stem, stored)))
    print(path)


if __name__ == "__main__":
    main()
