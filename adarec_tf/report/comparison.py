"""The figures a student is judged by, beside its teacher's and those of the simple baselines."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.data.histories.histories import Histories, raw_histories, sample_users
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.evaluation.accuracy import Accuracy, Ranked, measure_accuracy
from adarec_tf.evaluation.baselines import BASELINES
from adarec_tf.evaluation.protocols import model_scorer
from adarec_tf.export.bundle import bundle_bytes
from adarec_tf.export.latency import Latency, measure_latencies
from adarec_tf.models.model_cost import count_parameters, encoder_macs
from adarec_tf.models.sequence_model import SequenceModel

# Keys of a row beside the ranking metrics; a model that is never served has none of them.
LATENCY_REQUESTS = 200
COST_KEYS = (
    "parameters",
    "embedding_parameters",
    "encoder_macs",
    "bundle_bytes",
    "latency_p50_ms",
    "latency_p99_ms",
)
# Scores that a model gives in all: of a large catalog it ranks some of the users.
_MOST_SCORES = 10**10
# What it says of a log where the baseline is better than a student.
_SAID_OF_THE_LOG = {
    "popularity": "What came before says nothing of what comes next: the log has no sequence in "
    "it, or too little of one to learn.",
    "markov": "The last item says nearly all of what comes next, or the log is too small to learn "
    "more of it.",
    "item_knn": "Which items go together says more than their order, or the log is too small to "
    "learn it.",
}
# One model's figures, by metric or cost.
Row = dict[str, float | int | None]


class Comparison(NamedTuple):
    """How baselines, teacher and student compare.

    Attributes:
      rows: a row each for `popularity`, `markov`, `item_knn`, `teacher`, `ensemble` if the student
        learnt from several teachers, and `student`: the figures of `Accuracy.rows` and `COST_KEYS`,
        None where a model that is never served has no such figure.
      accuracy: slices, intervals and the paired test behind the rows.
      num_users: whose targets were ranked: all, or of a large catalog some, drawn at random.
    """

    rows: dict[str, Row]
    accuracy: Accuracy
    num_users: int

    def to_dict(self) -> dict[str, Any]:
        """The rows as `models`, and all else, as plain JSON types."""
        return {"num_users": self.num_users, "models": self.rows, **self.accuracy.to_dict()}


class Blessing(NamedTuple):
    """Whether the student may be served, and a sentence for each thing asked of it."""

    is_blessed: bool
    reasons: tuple[str, ...]


def compare_models(
    teachers: Sequence[SequenceModel],
    student: SequenceModel,
    train: Histories,
    test: Histories,
    *,
    statistics: SequenceStatistics,
    vocabulary: ItemVocabulary,
    teacher_bundle: str,
    student_bundle: str,
    k: int = 10,
    num_requests: int = LATENCY_REQUESTS,
) -> Comparison:
    """Measures baselines, teacher and student on the same test targets.

    Args:
      teachers: those that the student learnt from, together where there are several; the first of
        them is the one that could be served.
      student: the trained student.
      train: the train split, which the baselines count.
      test: the test split.
      statistics: of these sequences; its `seen` and `max_length` hold for all models.
      vocabulary: the items, to ask the bundles with raw keys.
      teacher_bundle: the first teacher's bundle directory.
      student_bundle: the student's bundle directory.
      k: cut-off of slices, coverage and popularity, and items asked for in a request.
      num_requests: how many requests the latency is measured on.

    Raises:
      ValueError: there are no test histories, or a model gives NaN.
    """
    if test.num_users == 0:
        raise ValueError("Models should be compared on at least one test history. Received: none.")
    models: dict[str, Ranked] = {**BASELINES, "teacher": teachers[0]}
    if len(teachers) > 1:
        together: Any = EnsembleTeacher(teachers)
        models["ensemble"] = model_scorer(together)
    models["student"] = student
    ranked = sample_users(test, max(1, _MOST_SCORES // statistics.num_items))
    accuracy = measure_accuracy(models, train, ranked, statistics=statistics, k=k)
    requests = raw_histories(test, vocabulary, num_requests)
    bundles = {"teacher": teacher_bundle, "student": student_bundle}
    latencies = measure_latencies(bundles, requests, k=k, num_requests=num_requests)
    costs = {
        name: _costs(model, bundles[name], latencies[name], statistics.max_length)
        for name, model in (("teacher", teachers[0]), ("student", student))
    }
    rows = {
        name: {**row, **costs.get(name, dict.fromkeys(COST_KEYS))}
        for name, row in accuracy.rows.items()
    }
    return Comparison(rows, accuracy, ranked.num_users)


def _costs(model: SequenceModel, bundle: str, latency: Latency, max_length: int) -> Row:
    parameters = count_parameters(model)
    figures = (
        parameters.total,
        parameters.embedding,
        encoder_macs(model, max_length),
        bundle_bytes(bundle),
        latency.p50_ms,
        latency.p99_ms,
    )
    return dict(zip(COST_KEYS, figures, strict=True))


def judge(
    rows: Mapping[str, Mapping[str, Any]], config: EvaluationConfig, *, k: int = 10
) -> Blessing:
    """Decides whether the student may be served.

    Args:
      rows: those of `compare_models`.
      config: what is asked of the student.
      k: cut-off of the NDCG compared.
    """
    teacher, student = rows["teacher"], rows["student"]
    teacher_ndcg, student_ndcg = (row[f"ndcg@{k}/full"] for row in (teacher, student))
    kept = student_ndcg / teacher_ndcg if teacher_ndcg > 0 else 0.0
    is_accurate = teacher_ndcg > 0 and kept >= config.min_teacher_ndcg_share
    # Truncated, not rounded: 89.96% must not read as the 90.0% that were asked.
    accuracy = (
        f"The student {'keeps' if is_accurate else 'keeps only'} {int(1000 * kept) / 10:.1f}% of "
        f"the teacher's NDCG@{k} (at least {100 * config.min_teacher_ndcg_share:.1f}% asked)."
    )
    if teacher_ndcg == 0:
        accuracy = f"The teacher's NDCG@{k} is 0: it teaches nothing that could be kept."
    latency_ms, teacher_ms = student["latency_p50_ms"], teacher["latency_p50_ms"]
    is_fast = latency_ms <= config.max_latency_ms
    latency = (
        f"The student {'answers' if is_fast else 'needs too long: it answers'} in "
        f"{latency_ms:.2f} ms at the median (at most {config.max_latency_ms:.2f} ms asked); its "
        f"teacher in {teacher_ms:.2f} ms."
    )
    size, largest = student["bundle_bytes"], _largest_bundle(teacher["bundle_bytes"], config)
    is_small = size <= largest
    reasons = [accuracy, latency]
    if largest < math.inf:
        reasons.append(
            f"The student's bundle {'has' if is_small else 'is too large: it has'} {size:,} bytes "
            f"(at most {int(largest):,} asked)."
        )
    reasons += _better_baseline(rows, f"ndcg@{k}/full")
    return Blessing(is_accurate and is_fast and is_small, tuple(reasons))


def _better_baseline(rows: Mapping[str, Mapping[str, Any]], metric: str) -> list[str]:
    """What it says of the log, where a baseline is better than the student."""
    best = max(BASELINES, key=lambda name: rows[name][metric])
    counted, learnt = rows[best][metric], rows["student"][metric]
    if counted <= learnt:
        return []
    return [
        f"A baseline is better than the student: {best}, with {counted:.4f} beside {learnt:.4f}. "
        f"{_SAID_OF_THE_LOG[best]}"
    ]


def _largest_bundle(teacher_bytes: int, config: EvaluationConfig) -> float:
    """The bytes that a student's bundle may have."""
    bounds = (config.max_bundle_bytes, config.max_teacher_share * teacher_bytes)
    return min((bound for bound in bounds if bound), default=math.inf)
