"""What makes a student better than its teacher: more teachers, more epochs, generations.

    python tests/benchmarks/beyond_teacher.py --name beauty --data interactions.csv.gz \
        --workdir WORK

Everything is trained by the recipe of the scene; the student's architecture is that which
`adarec run` found there. A next teacher is a model of the teacher's architecture that is distilled
as a student is, with a student's dropout. What was trained stays in WORK, from which an interrupted
comparison goes on.

Writes `tests/benchmarks/results/beyond_teacher_<name>.json` after each seed.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import keras
from stored_results import RESULTS, provenance, write_result
from train_teacher import evaluate

from adarec_tf.data.dataset import Dataset
from adarec_tf.distillation.distiller import distill_student
from adarec_tf.distillation.ensemble import as_one_teacher
from adarec_tf.evaluation.protocols import model_scorer
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.devices import set_threads
from adarec_tf.training.fit import SELECTION_METRIC
from adarec_tf.training.train_teacher import train_teacher
from pipeline.configs import scene_config

_TEACHER_SEEDS = 10  # lie between two teachers


class Training(NamedTuple):
    """A model and those that teach it, by name; nobody teaches a first teacher."""

    is_student: bool
    taught_by: tuple[str, ...] = ()
    epochs: int = 1  # times those of the recipe
    seed: int = 0  # is added


TRAININGS = {
    "teacher": Training(False),
    "second teacher": Training(False, seed=_TEACHER_SEEDS),
    "student": Training(True, ("teacher",)),
    "student, twice the epochs": Training(True, ("teacher",), epochs=2),
    "student of both teachers": Training(True, ("teacher", "second teacher")),
    "next teacher, of both teachers": Training(False, ("teacher", "second teacher")),
    "next teacher, of the student": Training(False, ("student of both teachers",)),
    "student of the next teacher": Training(True, ("next teacher, of both teachers",)),
}
TOGETHER = {"both teachers together": ("teacher", "second teacher")}


class Generations:
    """The models of one seed, each trained, or read from its checkpoint, when it is asked for."""

    def __init__(self, name: str, scene: Dataset, seed: int, work: Path) -> None:
        """Trains nothing yet."""
        self.config = scene_config(name)
        self.scene, self.seed, self.work = scene, seed, work
        stored = json.loads((RESULTS / f"scene_{name}_standard.json").read_text())
        self.genotype = Genotype.from_dict(stored["result"]["genotype"])
        self.models: dict[str, keras.Model] = {}
        self.seconds: dict[str, float] = {}

    def train(self, name: str) -> keras.Model:
        """The model of a name, after those that teach it."""
        if name not in self.models:
            training = TRAININGS[name]
            teachers = [self.train(teacher) for teacher in training.taught_by]
            self.models[name], records = self._train(name, training, teachers)
            self.seconds[name] = sum(record["train_s"] for record in records)
        return self.models[name]

    def _train(self, name: str, training: Training, teachers: list[keras.Model]) -> Any:
        config, scene, seed = self.config, self.scene, self.seed + training.seed
        sizes = (scene.num_items, scene.max_length)
        if training.is_student:
            model = build_student(self.genotype, config.student, *sizes, seed=seed)
        else:
            dropout = config.student.dropout if teachers else config.teacher.dropout
            model = build_teacher(config.teacher.replace(dropout=dropout), *sizes, seed=seed)
        options: dict[str, Any] = {
            "seen": scene.seen,
            "seed": seed,
            "checkpoint_dir": str(self.work / f"{name.replace(' ', '_')}-{self.seed}"),
            "windows": scene.statistics.windows,
        }
        if not teachers:
            return model, train_teacher(model, scene.train, scene.valid, config.training, **options)
        distillation = config.distillation.replace(
            max_epochs=training.epochs * config.distillation.max_epochs
        )
        teacher = teachers[0] if len(teachers) == 1 else as_one_teacher(teachers)
        return model, distill_student(
            model, teacher, scene.train, scene.valid, distillation, **options
        )

    def row(self, name: str) -> dict[str, Any]:
        """NDCG@10 of a model, or of several together, and seconds of its training."""
        members = [self.train(member) for member in TOGETHER.get(name, (name,))]
        scorer = model_scorer(members[0] if len(members) == 1 else as_one_teacher(members))
        row = {
            split: evaluate(scorer, self.scene, split, self.scene.seen)[SELECTION_METRIC]
            for split in ("valid", "test")
        }
        if name in self.seconds:
            row["train_s"] = round(self.seconds[name], 1)
        print(self.seed, name, json.dumps(row), flush=True)
        return row


def main() -> None:
    """Trains what is not there yet, and stores all complete seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of a scene in pipeline/configs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    set_threads()
    scene = Dataset.from_config(str(options.data), scene_config(options.name).data)
    command = [
        *("python", "tests/benchmarks/beyond_teacher.py", "--name", options.name),
        *("--data", f"<log>/{options.data.name}", "--workdir", "<work>"),
        *("--seeds", *map(str, options.seeds)),
    ]
    origin = provenance(command, ("tensorflow", "keras", "numpy"))  # before a result is written
    seeds: dict[str, dict[str, Any]] = {}
    for seed in options.seeds:
        generations = Generations(options.name, scene, seed, options.workdir)
        seeds[str(seed)] = {name: generations.row(name) for name in (*TRAININGS, *TOGETHER)}
        keras.backend.clear_session()
        stored = {
            **origin,
            "users": scene.train.num_users,
            "seeds": seeds,
        }
        write_result(RESULTS / f"beyond_teacher_{options.name}.json", stored)


if __name__ == "__main__":
    main()
