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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from architectures import random_genotypes
from fronts import Comparison, key_of, options_parser
from scipy.stats import kendalltau
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stored_results import RESULTS, provenance, write_result

from adarec_tf.data.histories.histories import Histories, split_halves
from adarec_tf.evaluation.protocols import EvaluationSplit, ScoreBatch, rank_full
from adarec_tf.evaluation.ranking import metrics_of_ranks
from adarec_tf.models.students import Genotype
from adarec_tf.search.bilevel.supernet_training import SupernetTraining
from adarec_tf.search.selection.validation import NUM_USERS
from adarec_tf.search.space.alphas import OPERATIONS, architecture_of, operations_of
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.search.task import SearchTask
from adarec_tf.training.checkpoint import EpochCheckpoint
from adarec_tf.tuning.student import take_users

_SAME: dict[str, Any] = {}
_EVEN: dict[str, Any] = {"method": "random"}
_ALL = tuple(range(len(OPERATIONS)))
_CONVOLUTIONS = tuple(place for place in _ALL if "conv" in OPERATIONS[place])


class Way(NamedTuple):
    """How a supernet is trained: changes of the search and of the distillation, and the seed.

    Few-shot: a supernet for each part of what the first edge may be.
    """

    search: dict[str, Any] = _EVEN
    distillation: dict[str, Any] = _SAME
    seed: int = 1
    of_first_edge: tuple[tuple[int, ...], ...] = (_ALL,)


WAYS = {
    "drawn evenly": Way(),
    "another seed": Way(seed=2),
    "drawn from alphas": Way(_SAME),
    "twice the epochs": Way({**_EVEN, "max_epochs": 16, "warmup_epochs": 8}),
    "half the epochs": Way({**_EVEN, "max_epochs": 4, "warmup_epochs": 2}),
    "all users in two epochs": Way({**_EVEN, "max_epochs": 2, "warmup_epochs": 1, "max_users": 0}),
    "layers matched by EMD": Way(distillation={"hidden_weight": 1.0, "ground_distance": "mse"}),
    "one for convolutions first, one for the rest": Way(
        of_first_edge=(_CONVOLUTIONS, tuple(sorted({*_ALL} - {*_CONVOLUTIONS})))
    ),
}


_TWO_SEEDS = ("drawn evenly", "another seed")
_PENALTIES = np.logspace(-1, 4, 11)


class Judged(NamedTuple):
    """What supernets say of students: measures by name, float64 [students]; seconds, a student."""

    measures: dict[str, np.ndarray]
    train_s: float
    rank_s: float


def train_supernet(
    comparison: Comparison, way: Way, first: tuple[int, ...], folder: Path
) -> tuple[Supernet, float]:
    """A supernet after its training, and the seconds of that."""
    search = comparison.search.replace(**way.search)
    train, valid = take_users(comparison.train, comparison.scene.valid, search.max_users, way.seed)
    task = SearchTask(
        teacher=comparison.teacher,
        halves=split_halves(train),
        valid=valid,
        search=search,
        distillation=comparison.distillation.replace(**way.distillation),
        seen=comparison.scene.seen,
        seed=way.seed,
        cache_dir=str(folder / "teacher_states"),
    )
    keras.utils.set_random_seed(way.seed)
    training = SupernetTraining(task, comparison.space)
    alphas = training.state.alphas.numpy()
    alphas[0, [place for place in _ALL if place not in first]] = -1e9  # is never drawn
    training.state.alphas.assign(alphas)
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


def judged(score: ScoreBatch, comparison: Comparison, users: Histories) -> dict[str, float]:
    """What may rank a student: on all users, or those with histories as long as the test's."""
    scene = comparison.scene
    log_likelihoods = np.zeros(users.num_users)

    def recorded(rows: np.ndarray, item_ids: np.ndarray) -> tf.Tensor:
        scores = tf.convert_to_tensor(score(rows, item_ids))
        targets = tf.constant(users.targets[rows] - 1)
        log_likelihoods[rows] = tf.gather(tf.nn.log_softmax(scores), targets, batch_dims=1)
        return scores

    split = EvaluationSplit(users, scene.num_items, scene.max_length, scene.seen)
    ranks = rank_full(recorded, split).ranks
    is_long = users.lengths >= scene.splits.test.lengths.min()
    of_all, of_long = (
        metrics_of_ranks(ranks[these], cutoffs=(10,), protocol="full")["ndcg@10/full"]
        for these in (slice(None), is_long)
    )
    return {
        "NDCG@10": of_all,
        "NDCG@10, long histories": of_long,
        "log-likelihood": float(log_likelihoods.mean()),
    }


def judged_by_supernets(
    comparison: Comparison, name: str, genotypes: list[Genotype], users: Histories
) -> Judged:
    """All students by the supernets of a way, which are trained and asked once."""
    way, students = WAYS[name], dict[str, dict[str, float]]()
    train_s = rank_s = 0.0
    for number, first_edge in enumerate(way.of_first_edge):
        folder = comparison.work / "supernets" / f"{name.replace(' ', '_')}-{number}"
        path = folder / "judged.json"
        kept = json.loads(path.read_text()) if path.exists() else {"rank_s": 0.0, "students": {}}
        new = [
            genotype
            for genotype in genotypes
            if operations_of(genotype)[0] in first_edge and key_of(genotype) not in kept["students"]
        ]
        if new:
            supernet, kept["train_s"] = train_supernet(comparison, way, first_edge, folder)
            start, score = time.process_time(), scorer_of(supernet)
            for genotype in new:
                kept["students"][key_of(genotype)] = judged(score(genotype), comparison, users)
            kept["rank_s"] += time.process_time() - start
            path.write_text(json.dumps(kept))
        train_s, rank_s = train_s + kept["train_s"], rank_s + kept["rank_s"]
        students |= kept["students"]
    of_each = [students[key_of(genotype)] for genotype in genotypes]
    measures = {name: np.array([found[name] for found in of_each]) for name in of_each[0]}
    return Judged(measures, train_s, rank_s / len(genotypes))


def together(judgments: Sequence[Judged]) -> Judged:
    """The mean of several."""
    measures = {
        name: np.mean([judged.measures[name] for judged in judgments], axis=0)
        for name in judgments[0].measures
    }
    return Judged(
        measures,
        sum(judged.train_s for judged in judgments),
        sum(judged.rank_s for judged in judgments),
    )


def predicted(features: np.ndarray, metrics: np.ndarray) -> np.ndarray:
    """Each student's metric by a ridge regression on the features of all others."""
    model = make_pipeline(StandardScaler(), RidgeCV(_PENALTIES))
    return cross_val_predict(model, features, metrics, cv=LeaveOneOut())


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
    parser.add_argument("--without", nargs="*", choices=WAYS, default=[], help="ways to leave out")
    parser.add_argument("--students", type=int, help="that are ranked; all that were trained")
    options = parser.parse_args()
    comparison = Comparison(options)
    student, search = comparison.student, comparison.search
    first = [*itertools.islice(random_genotypes(student, search, 1), options.again)]
    both = [[comparison.trained(genotype, seed).test for genotype in first] for seed in (1, 2)]
    trained: dict[Genotype, list[dict[str, Any]]] = {}
    for row in comparison.rows.read().values():
        trained.setdefault(Genotype.from_dict(row["genotype"]), []).append(row)
    trained = dict([*trained.items()][: options.students])
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
    features = np.stack([np.eye(len(OPERATIONS))[operations_of(g)].ravel() for g in genotypes])
    rankings = {
        "own validation": ranking(valid, test, is_random),
        "fewest MACs": ranking(macs, test, is_random),
        "ridge regression": ranking(predicted(features, valid), test, is_random),
    }
    users = comparison.valid
    drawn_users = np.random.default_rng(1).permutation(users.num_users)[:NUM_USERS]
    some = users.take(np.sort(drawn_users))
    judgments: dict[str, Judged] = {}
    for name in [name for name in WAYS if name not in options.without]:
        judgments[name] = judged_by_supernets(comparison, name, genotypes, some)
        keras.backend.clear_session()
    judgments["two seeds together"] = together([judgments[name] for name in _TWO_SEEDS])
    supernets = {
        name: {
            "train_s": round(judged.train_s, 1),
            "rank_s": round(judged.rank_s, 2),
            **{
                measure: ranking(values, test, is_random)
                for measure, values in judged.measures.items()
            },
        }
        for name, judged in judgments.items()
    }
    of_supernet = judgments["two seeds together"].measures["NDCG@10"]
    both_features = np.column_stack([features, of_supernet])
    rankings["ridge regression, two seeds' NDCG@10 beside"] = ranking(
        predicted(both_features, valid), test, is_random
    )
    command = [
        *("python", "tests/benchmarks/supernet_rank.py", "--name", options.name),
        *("--data", f"<log>/{options.data.name}", "--workdir", "<work>"),
        *("--users", str(options.users), "--epochs", str(options.epochs)),
        *("--again", str(options.again)),
        *(("--students", str(options.students)) if options.students else ()),
        *(("--without", *options.without) if options.without else ()),
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
