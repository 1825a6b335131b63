"""How well models rank the test targets: all users and slices, with intervals and a test."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.evaluation.baselines import (
    item_knn_scorer,
    item_popularity,
    markov_scorer,
    popularity_scorer,
)
from adarec_tf.evaluation.protocols import CUTOFFS, model_scorer, ranks_full
from adarec_tf.evaluation.ranking import METRICS, metrics_of_ranks, user_gains
from adarec_tf.evaluation.recommendations import (
    RecommendationStatistics,
    model_recommendation_statistics,
    recommendation_statistics,
)
from adarec_tf.evaluation.slices import (
    SliceRow,
    history_length_slices,
    slice_metrics,
    target_popularity_slices,
)
from adarec_tf.evaluation.uncertainty import Interval, PairedTest, bootstrap_interval, paired_test
from adarec_tf.models.sequence_model import SequenceModel


class Accuracy(NamedTuple):
    """What the ranks of all models tell.

    Attributes:
      rows: model to `hit_rate@k/full`, `ndcg@k/full` and `mrr@k/full` at all cut-offs, and to
        `catalog_coverage@k/full` and `mean_recommended_popularity@k/full` at one.
      slices: model to kind of slice (`history_length`, `target_popularity`) to slice to figures.
      intervals: model to metric to its 95% interval over users.
      student_against_teacher: metric to the paired test of the student minus the teacher.
    """

    rows: dict[str, dict[str, float]]
    slices: dict[str, dict[str, dict[str, SliceRow]]]
    intervals: dict[str, dict[str, Interval]]
    student_against_teacher: dict[str, PairedTest]

    def to_dict(self) -> dict[str, Any]:
        """All but the rows, as plain JSON types."""
        return {
            "slices": self.slices,
            "intervals": {
                model: {name: interval._asdict() for name, interval in intervals.items()}
                for model, intervals in self.intervals.items()
            },
            "student_against_teacher": {
                name: test._asdict() for name, test in self.student_against_teacher.items()
            },
        }


class _Measured(NamedTuple):
    """One model's ranks (int64 [U]) and the statistics of its lists."""

    ranks: np.ndarray
    recommendations: RecommendationStatistics


def measure_accuracy(
    teacher: SequenceModel,
    student: SequenceModel,
    train: Histories,
    test: Histories,
    *,
    statistics: SequenceStatistics,
    k: int,
    cutoffs: Sequence[int] = CUTOFFS,
    seed: int = 0,
) -> Accuracy:
    """Ranks the test targets once with each baseline and model.

    Args:
      teacher: the trained teacher.
      student: the trained student.
      train: the train split, which the baselines count.
      test: the test split.
      statistics: of these sequences; its `seen` and `max_length` hold for all models.
      k: cut-off of slices, coverage and popularity.
      cutoffs: those of the rows, intervals and tests besides k.
      seed: of the resampling.

    Returns:
      Figures of `popularity`, `markov`, `item_knn`, `teacher` and `student`.

    Raises:
      ValueError: there are no test histories, or a model gives NaN.
    """
    popularity = item_popularity(train, statistics.num_items)
    measured = {
        **_measure_baselines(train, test, popularity, statistics, k),
        "teacher": _measure_model(teacher, test, popularity, statistics, k),
        "student": _measure_model(student, test, popularity, statistics, k),
    }
    ks = sorted({k, *cutoffs})
    kinds = {
        "history_length": history_length_slices(test),
        "target_popularity": target_popularity_slices(test, popularity),
    }
    gains = {name: _gains(model.ranks, ks) for name, model in measured.items()}
    return Accuracy(
        {name: _row(model, ks, k) for name, model in measured.items()},
        {
            name: {
                kind: slice_metrics(model.ranks, slices, cutoffs=(k,))
                for kind, slices in kinds.items()
            }
            for name, model in measured.items()
        },
        {
            name: {
                metric: bootstrap_interval(of_users, seed=seed) for metric, of_users in g.items()
            }
            for name, g in gains.items()
        },
        {
            metric: paired_test(of_student, gains["teacher"][metric], seed=seed)
            for metric, of_student in gains["student"].items()
        },
    )


def _measure_baselines(
    train: Histories,
    test: Histories,
    popularity: np.ndarray,
    statistics: SequenceStatistics,
    k: int,
) -> dict[str, _Measured]:
    num_items = statistics.num_items
    options: dict[str, Any] = {
        "num_items": num_items,
        "max_length": statistics.max_length,
        "seen": statistics.seen,
    }
    scorers = {
        "popularity": popularity_scorer(train, num_items),
        "markov": markov_scorer(train, num_items),
        "item_knn": item_knn_scorer(train, num_items),
    }
    return {
        name: _Measured(
            ranks_full(scorer, test, **options),
            recommendation_statistics(scorer, test, popularity, k=k, **options),
        )
        for name, scorer in scorers.items()
    }


def _measure_model(
    model: SequenceModel,
    test: Histories,
    popularity: np.ndarray,
    statistics: SequenceStatistics,
    k: int,
) -> _Measured:
    options: dict[str, Any] = {"max_length": statistics.max_length, "seen": statistics.seen}
    return _Measured(
        ranks_full(model_scorer(model), test, num_items=statistics.num_items, **options),
        model_recommendation_statistics(model, test, popularity, k=k, **options),
    )


def _row(model: _Measured, cutoffs: Sequence[int], k: int) -> dict[str, float]:
    return {
        **metrics_of_ranks(model.ranks, cutoffs=cutoffs, protocol="full"),
        f"catalog_coverage@{k}/full": model.recommendations.catalog_coverage,
        f"mean_recommended_popularity@{k}/full": model.recommendations.mean_popularity,
    }


def _gains(ranks: np.ndarray, cutoffs: Sequence[int]) -> Mapping[str, np.ndarray]:
    return {
        f"{metric}@{k}/full": user_gains(metric, ranks, k) for k in cutoffs for metric in METRICS
    }
