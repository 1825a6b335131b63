"""The figures a student is judged by, beside its teacher's and those of the simple baselines."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.data.histories.histories import Histories, raw_histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.evaluation.accuracy import Accuracy, measure_accuracy
from adarec_tf.export.bundle import bundle_bytes
from adarec_tf.export.latency import measure_latency
from adarec_tf.models.model_cost import count_parameters, encoder_macs
from adarec_tf.models.sequence_model import SequenceModel

# Keys of a row beside the ranking metrics; a baseline, which is never served, has none of them.
LATENCY_REQUESTS = 200
COST_KEYS = (
    "parameters",
    "embedding_parameters",
    "encoder_macs",
    "bundle_bytes",
    "latency_p50_ms",
    "latency_p99_ms",
)
# One model's figures, by metric or cost.
Row = dict[str, float | int | None]


class Comparison(NamedTuple):
    """How baselines, teacher and student compare.

    Attributes:
      rows: a row each for `popularity`, `markov`, `item_knn`, `teacher` and `student`: the figures
        of `Accuracy.rows` and `COST_KEYS`, None where a baseline has no such figure.
      accuracy: slices, intervals and the paired test behind the rows.
    """

    rows: dict[str, Row]
    accuracy: Accuracy

    def to_dict(self) -> dict[str, Any]:
        """The rows as `models`, and what else `Accuracy` has, as plain JSON types."""
        return {"models": self.rows, **self.accuracy.to_dict()}


class Blessing(NamedTuple):
    """Whether the student may be served, and a sentence for each thing asked of it."""

    is_blessed: bool
    reasons: tuple[str, ...]


def compare_models(
    teacher: SequenceModel,
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
      teacher: the trained teacher.
      student: the trained student.
      train: the train split, which the baselines count.
      test: the test split.
      statistics: of these sequences; its `seen` and `max_length` hold for all models.
      vocabulary: the items, to ask the bundles with raw keys.
      teacher_bundle: the teacher's bundle directory.
      student_bundle: the student's bundle directory.
      k: cut-off of slices, coverage and popularity, and items asked for in a request.
      num_requests: how many requests the latency is measured on.

    Raises:
      ValueError: there are no test histories, or a model gives NaN.
    """
    if test.num_users == 0:
        raise ValueError("Models should be compared on at least one test history. Received: none.")
    accuracy = measure_accuracy(teacher, student, train, test, statistics=statistics, k=k)
    requests = raw_histories(test, vocabulary, num_requests)
    costs = {
        name: _costs(model, bundle, requests, statistics.max_length, num_requests, k)
        for name, model, bundle in (
            ("teacher", teacher, teacher_bundle),
            ("student", student, student_bundle),
        )
    }
    rows = {
        name: {**row, **costs.get(name, dict.fromkeys(COST_KEYS))}
        for name, row in accuracy.rows.items()
    }
    return Comparison(rows, accuracy)


def _costs(
    model: SequenceModel,
    bundle: str,
    requests: list[list[str]],
    max_length: int,
    num_requests: int,
    k: int,
) -> Row:
    parameters = count_parameters(model)
    latency = measure_latency(bundle, requests, k=k, num_requests=num_requests)
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
    rows: Mapping[str, Mapping[str, float | int | None]], config: EvaluationConfig, *, k: int = 10
) -> Blessing:
    """Decides whether the student may be served.

    Args:
      rows: those of `compare_models`.
      config: what is asked of the student.
      k: cut-off of the NDCG compared.
    """
    verdicts = (_judge_accuracy(rows, config, k), _judge_latency(rows, config))
    return Blessing(all(is_met for is_met, _ in verdicts), tuple(reason for _, reason in verdicts))


def _judge_accuracy(
    rows: Mapping[str, Mapping[str, Any]], config: EvaluationConfig, k: int
) -> tuple[bool, str]:
    teacher_ndcg, student_ndcg = (rows[name][f"ndcg@{k}/full"] for name in ("teacher", "student"))
    if teacher_ndcg == 0:
        return False, f"The teacher's NDCG@{k} is 0: it teaches nothing that could be kept."
    kept, asked = student_ndcg / teacher_ndcg, config.min_teacher_ndcg_share
    is_met = kept >= asked
    keeps = "keeps" if is_met else "keeps only"
    # Truncated, not rounded: 89.96% must not read as the 90.0% that were asked.
    return is_met, (
        f"The student {keeps} {int(1000 * kept) / 10:.1f}% of the teacher's NDCG@{k} "
        f"(at least {100 * asked:.1f}% asked)."
    )


def _judge_latency(
    rows: Mapping[str, Mapping[str, Any]], config: EvaluationConfig
) -> tuple[bool, str]:
    latency_ms, allowed_ms = rows["student"]["latency_p50_ms"], config.max_latency_ms
    is_met = latency_ms <= allowed_ms
    answers = "answers" if is_met else "needs too long: it answers"
    return is_met, (
        f"The student {answers} in {latency_ms:.2f} ms at the median "
        f"(at most {allowed_ms:.2f} ms asked)."
    )
