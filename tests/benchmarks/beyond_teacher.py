"""What makes a student better than its teacher: more teachers, more epochs, generations.

    python tests/benchmarks/beyond_teacher.py --name beauty --data interactions.csv.gz \
        --workdir WORK --runs RUN ...

A RUN is the workdir of an `adarec run --data interactions.csv.gz` with two teachers, each of its
own seed. Its teachers, its student and its recipe are read; the others are trained here. A next
teacher is a model of the teacher's architecture that is distilled as a student is, with a student's
dropout and the teacher's learning rate, or 4/3 of it. What was trained stays in WORK, from which an
interrupted comparison goes on.

Writes `tests/benchmarks/results/beyond_teacher_<name>.json` after each run.
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
from components.model_artifact import read_teachers
from pipeline.configs import custom_config
from pipeline.results import read_runs


class Training(NamedTuple):
    """A model and those that teach it, by name."""

    is_student: bool
    taught_by: tuple[str, ...]
    epochs: int = 1  # times those of the recipe
    rate: float = 1.0  # of a next teacher, times the teacher's learning rate


TRAININGS = {
    "student": Training(True, ("teacher",)),
    "student, twice the epochs": Training(True, ("teacher",), epochs=2),
    "next teacher, of both teachers": Training(False, ("teacher", "second teacher")),
    "next teacher of both, higher rate": Training(False, ("teacher", "second teacher"), rate=4 / 3),
    "next teacher, of the student": Training(False, ("student of both teachers",)),
    "student of the next teacher": Training(True, ("next teacher, of both teachers",)),
}
OF_THE_RUN = ("teacher", "second teacher", "student of both teachers")
TOGETHER = {"both teachers together": ("teacher", "second teacher")}


class Generations:
    """The models of one run, and those that are trained when they are asked for."""

    def __init__(self, data: Path, run: Path, work: Path) -> None:
        """Trains nothing yet."""
        self.config = custom_config(data, str(run / "recipe.json"))
        self.scene = Dataset.from_config(str(data), self.config.data)
        result = json.loads((run / "result.json").read_text())
        self.genotype = Genotype.from_dict(result["genotype"])
        self.seed, self.work = result["seed"], work
        outputs = read_runs(run / "metadata.sqlite")[-1].outputs
        found = [
            model
            for stage in ("TeacherTrainer", "StudentDistiller")
            for model in read_teachers(outputs[stage]["model"].uri)
        ]
        self.models: dict[str, keras.Model] = dict(zip(OF_THE_RUN, found, strict=True))
        self.seconds: dict[str, float] = {}

    def model(self, name: str) -> keras.Model:
        """The model of a name, after those that teach it."""
        if name not in self.models:
            training = TRAININGS[name]
            teachers = [self.model(teacher) for teacher in training.taught_by]
            self.models[name], records = self._train(name, training, teachers)
            self.seconds[name] = sum(record["train_s"] for record in records)
        return self.models[name]

    def _train(self, name: str, training: Training, teachers: list[keras.Model]) -> Any:
        config, scene = self.config, self.scene
        sizes = (scene.num_items, scene.max_length)
        distillation = config.distillation
        if training.is_student:
            model = build_student(self.genotype, config.student, *sizes, seed=self.seed)
        else:
            teacher = config.teacher.replace(dropout=config.student.dropout)
            model = build_teacher(teacher, *sizes, seed=self.seed)
            distillation = distillation.replace(
                learning_rate=training.rate * config.training.learning_rate
            )
        return model, distill_student(
            model,
            as_one_teacher(teachers),
            scene.train,
            scene.valid,
            distillation.replace(max_epochs=training.epochs * distillation.max_epochs),
            seen=scene.seen,
            seed=self.seed,
            checkpoint_dir=str(self.work / f"{name.replace(' ', '_')}-{self.seed}"),
            windows=scene.statistics.windows,
        )

    def row(self, name: str) -> dict[str, Any]:
        """NDCG@10 of a model, or of several together, and seconds of its training."""
        members = [self.model(member) for member in TOGETHER.get(name, (name,))]
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
    """Trains what is not there yet, and stores all complete runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--only", nargs="+", default=list(TRAININGS), help="what is trained")
    options = parser.parse_args()
    set_threads()
    rows = (*OF_THE_RUN, *options.only, *TOGETHER)
    command = [
        *("python", "tests/benchmarks/beyond_teacher.py", "--name", options.name),
        *("--data", f"<log>/{options.data.name}", "--workdir", "<work>"),
        *("--runs", *(f"<run {number}>" for number in range(1, len(options.runs) + 1))),
        *(("--only", *options.only) if options.only != list(TRAININGS) else ()),
    ]
    origin = provenance(command, ("tensorflow", "keras", "numpy"))  # before a result is written
    seeds: dict[str, dict[str, Any]] = {}
    for run in options.runs:
        generations = Generations(options.data, run, options.workdir)
        seeds[str(generations.seed)] = {name: generations.row(name) for name in rows}
        keras.backend.clear_session()
        users = generations.scene.train.num_users
        stored = {**origin, "users": users, "seeds": seeds}
        write_result(RESULTS / f"beyond_teacher_{options.name}.json", stored)


if __name__ == "__main__":
    main()
