"""How well a supernet ranks students, by ways to train it: beside trainings, guesses and a ceiling.

    python tests/benchmarks/supernet_rank.py --name retailrocket --data interactions.csv.gz \
        --users 30000 --workdir WORK --again 10

WORK is that of `fronts.py`, with the same settings: the students that it trained are ranked anew,
by what a supernet says of them on 4,096 users of validation, and Kendall's tau is taken with their
NDCG@10 on test. Supernets differ in one thing each from that whose operations are drawn evenly.

Beside them: the students' own validation; what they cost; a ridge regression on the operations that
was fitted to the validation of the others; and the ceiling, which is tau between the tests of two
seeds of the same `--again` random students.

Writes `tests/benchmarks/results/supernet_rank_<name>.json`.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from architectures import random_genotypes
from fronts import Comparison, options_parser
from scipy.stats import kendalltau
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from stored_results import RESULTS, provenance, write_result

from adarec_tf.data.histories.histories import Histories, split_halves
from adarec_tf.evaluation.protocols import EvaluationSplit, ScoreBatch, evaluate_full
from adarec_tf.models.students import Genotype
from adarec_tf.search.bilevel.supernet_training import SupernetTraining
from adarec_tf.search.selection.validation import NUM_USERS
from adarec_tf.search.space.alphas import OPERATIONS, architecture_of, operations_of
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.search.task import SearchTask
from adarec_tf.training.checkpoint import EpochCheckpoint

_EVEN: dict[str, Any] = {"method": "random"}
# Changes of the search, changes of the distillation, and the seed.
SUPERNETS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "drawn evenly": (_EVEN, {}, 1),
    "another seed": (_EVEN, {}, 2),
    "drawn from alphas": ({}, {}, 1),
    "twice the epochs": ({**_EVEN, "max_epochs": 16, "warmup_epochs": 8}, {}, 1),
    "layers matched by EMD": (_EVEN, {"hidden_weight": 1.0, "ground_distance": "mse"}, 1),
}


def train_supernet(comparison: Comparison, name: str) -> tuple[Supernet, float]:
    """A supernet after its training, and the seconds of that."""
    search, distillation, seed = SUPERNETS[name]
    folder = comparison.work / "supernets" / name.replace(" ", "_")
    task = SearchTask(
        teacher=comparison.teacher,
        halves=split_halves(comparison.train),
        valid=comparison.valid,
        search=comparison.search.replace(**search),
        distillation=comparison.distillation.replace(**distillation),
        seen=comparison.scene.seen,
        seed=seed,
        cache_dir=str(folder / "teacher_states"),
    )
    keras.utils.set_random_seed(seed)
    training = SupernetTraining(task, comparison.space)
    checkpoint = EpochCheckpoint(str(folder), training.state.variables)
    seconds = (checkpoint.restore() or {"seconds": []})["seconds"]
    for epoch in range(len(seconds), task.search.max_epochs):
        seconds.append(training.run_epoch(epoch)["train_s"])
        checkpoint.save({"seconds": seconds})
    return training.state.supernet, sum(seconds)


def scorer_of(supernet: Supernet) -> Callable[[Genotype], ScoreBatch]:
    """Scores of the catalog by any student of the supernet."""

    @tf.function(reduce_retracing=True)
    def score(item_ids: tf.Tensor, architecture: Any) -> tf.Tensor:
        states = supernet(item_ids, architecture, training=False).final_states[:, -1]
        return supernet.sequence_embedding.item_logits(states)

    def of_genotype(genotype: Genotype) -> ScoreBatch:
        architecture = architecture_of(genotype, num_cells=len(supernet.cells))
        return lambda rows, item_ids: score(tf.constant(item_ids), architecture)

    return of_genotype


def log_likelihood(score: ScoreBatch, split: EvaluationSplit) -> float:
    """The mean of the targets'."""
    total = 0.0
    for rows, item_ids, _ in split.batches():
        shares = tf.nn.log_softmax(score(rows, item_ids))
        targets = tf.constant(split.histories.targets[rows] - 1)
        total += float(tf.reduce_sum(tf.gather(shares, targets, batch_dims=1)))
    return total / split.histories.num_users


def judged(score: ScoreBatch, comparison: Comparison, users: Histories) -> dict[str, float]:
    """What may rank a student: on all users, or those with histories as long as the test's."""
    scene = comparison.scene
    long_enough = users.take(np.flatnonzero(users.lengths >= scene.splits.test.lengths.min()))
    found = {}
    for name, histories in (("", users), (", long histories", long_enough)):
        split = EvaluationSplit(histories, scene.num_items, scene.max_length, scene.seen)
        metrics = evaluate_full(score, **split._asdict(), cutoffs=(10,))
        found[f"NDCG@10{name}"] = metrics["ndcg@10/full"]
        found[f"log-likelihood{name}"] = log_likelihood(score, split)
    return found


def predicted(genotypes: list[Genotype], metrics: np.ndarray) -> np.ndarray:
    """Each student's metric by a ridge regression on the operations of all others."""
    features = np.stack([np.eye(len(OPERATIONS))[operations_of(g)].ravel() for g in genotypes])
    return cross_val_predict(Ridge(), features, metrics, cv=LeaveOneOut())


def ranking(by: np.ndarray, test: np.ndarray, is_random: np.ndarray) -> dict[str, Any]:
    """Tau of all students and of the random ones, and the place on test of the one ranked first."""
    return {
        "tau": round(float(kendalltau(by, test)[0]), 3),
        "tau of random": round(float(kendalltau(by[is_random], test[is_random])[0]), 3),
        "place of the first": int((test > test[by.argmax()]).sum()) + 1,
    }


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--again", type=int, default=10, help="random students of two seeds")
    options = parser.parse_args()
    comparison = Comparison(options)
    student, search = comparison.student, comparison.search
    first = [*itertools.islice(random_genotypes(student, search, 1), options.again)]
    both = [[comparison.trained(genotype, seed).test for genotype in first] for seed in (1, 2)]
    trained: dict[Genotype, list[dict[str, Any]]] = {}
    for row in comparison.rows.read().values():
        trained.setdefault(Genotype.from_dict(row["genotype"]), []).append(row)
    genotypes = [*trained]
    drawn = {
        genotype
        for seed in (1, 2, 3)
        for genotype in itertools.islice(random_genotypes(student, search, seed), len(trained))
    }
    is_random = np.array([genotype in drawn for genotype in genotypes])
    valid, test = (
        np.array([np.mean([row[split] for row in rows]) for rows in trained.values()])
        for split in ("valid", "test")
    )
    macs = np.array([-comparison.costs[0].cost_of(genotype).macs for genotype in genotypes])
    rankings = {
        "own validation": ranking(valid, test, is_random),
        "fewest MACs": ranking(macs, test, is_random),
        "ridge regression": ranking(predicted(genotypes, valid), test, is_random),
    }
    users = comparison.valid
    drawn_users = np.random.default_rng(1).permutation(users.num_users)[:NUM_USERS]
    some = users.take(np.sort(drawn_users))
    supernets: dict[str, Any] = {}
    for name in SUPERNETS:
        supernet, seconds = train_supernet(comparison, name)
        start, score = time.process_time(), scorer_of(supernet)
        of_each = [judged(score(genotype), comparison, some) for genotype in genotypes]
        by = {
            measure: ranking(np.array([found[measure] for found in of_each]), test, is_random)
            for measure in of_each[0]
        }
        supernets[name] = {
            "train_s": round(seconds, 1),
            "rank_s": round((time.process_time() - start) / len(of_each), 2),
            **by,
        }
        print(name, json.dumps(supernets[name]), flush=True)
    command = [
        *("python", "tests/benchmarks/supernet_rank.py", "--name", options.name),
        *("--data", f"<log>/{options.data.name}", "--workdir", "<work>"),
        *("--users", str(options.users), "--epochs", str(options.epochs)),
        *("--again", str(options.again)),
    ]
    stored = {
        **provenance(command, ("tensorflow", "keras", "scipy", "scikit-learn")),
        "users": comparison.train.num_users,
        "students": {"all": len(trained), "random": int(is_random.sum())},
        "test": {"min": test.min(), "median": float(np.median(test)), "max": test.max()},
        "ceiling": round(float(kendalltau(*both)[0]), 3),
        "rankings": rankings,
        "supernets": supernets,
    }
    write_result(RESULTS / f"supernet_rank_{options.name}.json", stored)


if __name__ == "__main__":
    main()
