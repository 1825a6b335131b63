"""Accuracy at a cost: the students that a search finds, beside chance, at equal processor time.

    python tests/benchmarks/fronts.py --name retailrocket --data interactions.csv.gz \
        --users 30000 --workdir WORK

Every method has `--minutes` of the processor a seed, trainings included, to find students that are
accurate or fast: the search proposes and short trainings decide; random architectures are trained;
evolution breeds from what half of these trainings found; and stacks of convolutions as NextItNet's,
of which there are few. Each student is trained alike, by the recipe of the scene with `--epochs`
over `--users`; a search sees as many users as the recipe says. The teacher knows all users; it, and
what it says, are given to all methods.

A front is chosen on validation and judged on test, of the same users for all methods. A latency is
that of the encoder, in the form that is served, in units of the whole hand-made stack's, both
called in turns. The volume of a front is the mean, over latencies up to the slowest student's, of
the NDCG@10 of the best student that is as fast, from 80% of the teacher's to 100%; by bytes, over
those of the weights in the bundle.

What was trained stays in WORK, from which an interrupted comparison goes on. Writes
`tests/benchmarks/results/fronts_<name>.json` after each seed.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
from architectures import (
    Rows,
    hand_made_genotypes,
    latency_ratio,
    random_genotypes,
    served_encoder,
)
from judged_fronts import METHODS, Trained, best_of, front_of, judge, summary
from stored_results import RESULTS, provenance, write_result

from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import sample_users
from adarec_tf.distillation import distiller
from adarec_tf.distillation.distiller import train_student
from adarec_tf.distillation.teacher_cache import OnlineTeacher, TeacherCache, read_teacher
from adarec_tf.export.profile import find_costs
from adarec_tf.models.students import Genotype
from adarec_tf.models.students.cost_table import CostTable
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.searcher import search_genotype
from adarec_tf.search.selection.evolution import mutate
from adarec_tf.search.space.search_space import SearchSpace, reachable_spaces
from adarec_tf.training.devices import set_threads
from adarec_tf.training.train_teacher import train_teacher
from adarec_tf.tuning.student import take_users
from pipeline.configs import scene_config

_EPOCH_USERS = 10_000  # of validation, which choose the epoch of a student
_USERS = 30_000  # of validation, which decides, and of test
_TEACHER_SEED = 1


class Comparison:
    """The scene, its teacher, and every student that was trained for a seed."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Trains the teacher, or reads it."""
        set_threads()
        config = scene_config(options.name)
        self.work: Path = options.workdir
        self.scene = scene = Dataset.from_config(str(options.data), config.data)
        self.train = sample_users(scene.train, options.users)
        self.valid = sample_users(scene.valid, _USERS)
        self.test = sample_users(scene.splits.test, _USERS)
        self.epoch_valid = sample_users(scene.valid, _EPOCH_USERS)
        self.search = config.search.replace(
            alphas="per_cell",
            front_size=8,
            num_evaluations=8,
            max_bytes=0,
        )
        self.student = config.student
        self.distillation = config.distillation.replace(max_epochs=options.epochs)
        self.rows = Rows(self.work / "students", "0")
        self.teacher = build_teacher(
            config.teacher, scene.num_items, scene.max_length, seed=_TEACHER_SEED
        )
        train_teacher(
            self.teacher,
            scene.train,
            self.valid,
            config.training,
            seen=scene.seen,
            seed=_TEACHER_SEED,
            checkpoint_dir=str(self.work / "teacher"),
        )
        self.teacher.compile(seen=scene.seen)
        # What it says of the users is the same for all students: it is asked once.
        distiller.read_teacher = self._read_teacher
        self._answers: list[TeacherCache | OnlineTeacher] = []
        self._asking_s = 0.0  # which the student that was first does not pay for
        self.teachers = {
            split: self.teacher.evaluate(users, return_dict=True, verbose=0)["ndcg@10"]
            for split, users in (("valid", self.valid), ("test", self.test))
        }
        self.costs: list[CostTable] = find_costs(
            self.teacher,
            self.student,
            self.search.replace(front_size=0),
            max_length=scene.max_length,
            kept_dir="",
        )

    def _read_teacher(self, *_: Any, **options: Any) -> TeacherCache | OnlineTeacher:
        if not self._answers:
            start = time.process_time()
            self._answers.append(read_teacher(self.teacher, self.train, **options))
            self._asking_s = time.process_time() - start
        return self._answers[0]

    @property
    def space(self) -> SearchSpace:
        """All students that there are."""
        [space] = reachable_spaces(self.costs, self.student, self.search.replace(front_size=0))
        return space

    def trained(self, genotype: Genotype, seed: int) -> Trained:
        """A student's training, which all methods that come upon it pay for."""
        name = key_of(genotype)
        self.rows.add(name, seed, lambda folder: self._train(genotype, seed, folder))
        row = self.rows.read()[name, seed]
        return Trained(genotype, row["valid"], row["test"], row["cpu_s"])

    def _train(self, genotype: Genotype, seed: int, folder: Path) -> dict[str, Any]:
        start = time.process_time()
        shutil.rmtree(folder, ignore_errors=True)  # a part of a training has no time
        student, _ = train_student(
            genotype,
            self.student,
            self.teacher,
            self.train,
            self.epoch_valid,
            self.distillation,
            statistics=self.scene.statistics,
            seed=seed,
            checkpoint_dir=str(folder),
        )
        student.compile(seen=self.scene.seen)
        valid = student.evaluate(self.valid, return_dict=True, verbose=0)["ndcg@10"]
        cpu_s = time.process_time() - start - self._asking_s
        self._asking_s = 0.0
        test = student.evaluate(self.test, return_dict=True, verbose=0)["ndcg@10"]
        keras.backend.clear_session()  # of many trainings in one process
        return {
            "seed": seed,
            "genotype": genotype.to_dict(),
            "valid": valid,
            "test": test,
            "cpu_s": round(cpu_s, 1),
        }

    def proposed(self, seed: int) -> tuple[list[Genotype], float]:
        """What a search proposes, far apart first, and its seconds of the processor."""
        path = self.work / f"search-{seed}.json"
        if not path.exists():
            folder = self.work / f"search-{seed}"
            shutil.rmtree(folder, ignore_errors=True)  # a part of a search has no time
            start = time.process_time()
            found = search_genotype(
                self.teacher,
                *take_users(self.train, self.scene.valid, self.search.max_users, seed),
                costs=find_costs(
                    self.teacher,
                    self.student,
                    self.search,
                    max_length=self.scene.max_length,
                    kept_dir=str(folder),
                ),
                student=self.student,
                search=self.search,
                distillation=self.distillation,
                max_length=self.scene.max_length,
                seen=self.scene.seen,
                seed=seed,
                checkpoint_dir=str(folder),
            )
            front = [student.genotype for student in found.front.students]
            best = sorted(found.candidates, key=lambda candidate: -candidate[1])
            genotypes = [front[place] for place in far_apart(len(front))]
            genotypes += [genotype for genotype, _ in best if genotype not in front]
            stored = {
                "cpu_s": round(time.process_time() - start, 1),
                "genotypes": [genotype.to_dict() for genotype in genotypes],
            }
            path.write_text(json.dumps(stored))
            shutil.rmtree(folder)
        stored = json.loads(path.read_text())
        return [*map(Genotype.from_dict, stored["genotypes"])], stored["cpu_s"]

    def spend(
        self, genotypes: Iterator[Genotype], seed: int, budget_s: float, used_s: float = 0.0
    ) -> Iterator[Trained]:
        """Trains one after the other as long as there is time for another."""
        count, first_s = 0, used_s
        for genotype in genotypes:
            mean = (used_s - first_s) / count if count else 0.0
            if used_s + mean > budget_s:
                return
            row = self.trained(genotype, seed)
            used_s, count = used_s + row.cpu_s, count + 1
            yield row


def key_of(genotype: Genotype) -> str:
    """What a genotype is kept under."""
    return hashlib.sha1(json.dumps(genotype.to_dict()).encode()).hexdigest()[:12]


def far_apart(count: int) -> list[int]:
    """0 to count - 1: first the ends, then the middles of what is between."""
    order: list[int] = []
    for parts in range(1, count + 1):
        places = np.linspace(0, count - 1, parts + 1).round().astype(int).tolist()
        order += [place for place in places if place not in order]
    return order[:count]


def bred(parents: list[Trained], space: SearchSpace, macs: CostTable, seed: int) -> Any:
    """Children of the front so far, without end; `parents` grows while they are trained."""
    generator = np.random.default_rng(seed)
    known = {row.genotype for row in parents}
    while True:
        cost = {row.genotype.describe(): macs.cost_of(row.genotype).macs for row in parents}
        front = front_of(parents, cost)
        child = mutate(front[int(generator.integers(len(front)))].genotype, space, generator)
        if child not in known and not child.is_degenerate:
            known.add(child)
            yield child


def run_methods(comparison: Comparison, seed: int, budget_s: float) -> dict[str, list[Trained]]:
    """The students that each method trained in its time."""
    proposed, search_s = comparison.proposed(seed)
    drawn = random_genotypes(comparison.student, comparison.search, seed)
    by_chance = [*comparison.spend(drawn, seed, budget_s)]
    parents = by_chance[: len(by_chance) // 2]
    children = bred(parents, comparison.space, comparison.costs[0], seed)
    used_s = sum(row.cpu_s for row in parents)
    for row in comparison.spend(children, seed, budget_s, used_s):
        parents.append(row)
    searched = [*comparison.spend(iter(proposed), seed, budget_s, search_s)]
    used_s = search_s + sum(row.cpu_s for row in searched)
    children = bred(searched, comparison.space, comparison.costs[0], seed)
    for row in comparison.spend(children, seed, budget_s, used_s):  # what is left of the time
        searched.append(row)
    by_hand = comparison.spend(iter(hand_made_genotypes(comparison.student)), seed, budget_s)
    return dict(zip(METHODS, (searched, by_chance, parents, [*by_hand]), strict=True))


def measured_latencies(comparison: Comparison, genotypes: Iterable[Genotype]) -> dict[str, float]:
    """By the description of each genotype, in units of the hand-made stack's."""
    path = comparison.work / "latencies.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    reference_genotype = hand_made_genotypes(comparison.student)[0]
    reference = served_encoder(reference_genotype, comparison.student, comparison.scene)
    for genotype in genotypes:
        if genotype.describe() not in kept:
            encoder = served_encoder(genotype, comparison.student, comparison.scene)
            kept[genotype.describe()] = latency_ratio(encoder, reference)
            path.write_text(json.dumps(kept))
    return kept


def options_parser(description: str | None) -> argparse.ArgumentParser:
    """Of what every comparison has to know."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--name", required=True, help="of a scene in pipeline/configs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--users", type=int, default=0, help="that train students; 0 takes all")
    parser.add_argument("--epochs", type=int, default=8, help="of a student")
    return parser


def main() -> None:
    """Trains what is not there yet, and stores the summary of all complete seeds."""
    parser = options_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of a method and a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    comparison = Comparison(options)
    budget_s = 60.0 * options.minutes
    command = [
        *("python", "tests/benchmarks/fronts.py", "--name", options.name),
        *("--data", f"<log>/{options.data.name}", "--workdir", "<work>"),
        *("--users", str(options.users), "--epochs", str(options.epochs)),
        *("--minutes", str(options.minutes)),
        *("--seeds", *map(str, options.seeds)),
    ]
    origin = provenance(command, ("tensorflow", "keras", "numpy"))  # before a result is written
    methods: dict[int, dict[str, list[Trained]]] = {}
    for seed in options.seeds:
        methods[seed] = run_methods(comparison, seed, budget_s)
        trained = [row for found in methods.values() for rows in found.values() for row in rows]
        latency = measured_latencies(comparison, dict.fromkeys(row.genotype for row in trained))
        num_bytes = {
            row.genotype.describe(): float(comparison.costs[0].cost_of(row.genotype).served_bytes)
            for row in trained
        }
        seeds = {
            str(number): {
                method: judge(rows, latency, num_bytes, comparison.teachers, best_of(found))
                for method, rows in found.items()
            }
            for number, found in methods.items()
        }
        stored = {
            **origin,
            "users": comparison.train.num_users,
            "teacher": {split: round(value, 5) for split, value in comparison.teachers.items()},
            "search_s": [comparison.proposed(number)[1] for number in methods],
            "methods": summary(seeds),
            "seeds": seeds,
        }
        print(json.dumps(stored["methods"]), flush=True)
        write_result(RESULTS / f"fronts_{options.name}.json", stored)


if __name__ == "__main__":
    main()
