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
from adarec_tf.evaluation.protocols import (
    CUTOFFS,
    EvaluationSplit,
    ScoreBatch,
    model_scorer,
    ranks_full,
)
from adarec_tf.evaluation.ranking import metrics_of_ranks, user_gains
from adarec_tf.evaluation.recommendations import (
    RecommendationStatistics,
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
    more_baselines: Mapping[str, ScoreBatch] | None = None,
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
      more_baselines: further rows by name, such as `gru_retrieval` by `gru_retrieval_scorer`.

    Returns:
      Figures of `popularity`, `markov`, `item_knn`, `more_baselines`, `teacher` and `student`.

    Raises:
      ValueError: there are no test histories, a model gives NaN, or a further row has the name of
        another.
    """
    popularity = item_popularity(train, statistics.num_items)
    measured = _measure(
        _name_scorers(teacher, student, train, statistics.num_items, more_baselines or {}),
        EvaluationSplit(test, statistics.num_items, statistics.max_length, statistics.seen),
        popularity,
        k,
    )
    ks = sorted({k, *cutoffs})
    kinds = {
        "history_length": history_length_slices(test),
        "target_popularity": target_popularity_slices(test, popularity),
    }
    gains = {
        name: user_gains(ranks, cutoffs=ks, protocol="full")
        for name, (ranks, _) in measured.items()
    }
    rows = {
        name: {
            **metrics_of_ranks(ranks, cutoffs=ks, protocol="full"),
            f"catalog_coverage@{k}/full": shown.catalog_coverage,
            f"mean_recommended_popularity@{k}/full": shown.mean_popularity,
        }
        for name, (ranks, shown) in measured.items()
    }
    slices = {
        name: {kind: slice_metrics(ranks, of_kind, cutoffs=(k,)) for kind, of_kind in kinds.items()}
        for name, (ranks, _) in measured.items()
    }
    intervals = {
        name: {metric: bootstrap_interval(users, seed=seed) for metric, users in of_model.items()}
        for name, of_model in gains.items()
    }
    tests = {
        metric: paired_test(users, gains["teacher"][metric], seed=seed)
        for metric, users in gains["student"].items()
    }
    return Accuracy(rows, slices, intervals, tests)


def _name_scorers(
    teacher: SequenceModel,
    student: SequenceModel,
    train: Histories,
    num_items: int,
    more_baselines: Mapping[str, ScoreBatch],
) -> dict[str, ScoreBatch]:
    baselines = {
        "popularity": popularity_scorer(train, num_items),
        "markov": markov_scorer(train, num_items),
        "item_knn": item_knn_scorer(train, num_items),
    }
    models = {"teacher": model_scorer(teacher), "student": model_scorer(student)}
    if taken := more_baselines.keys() & {*baselines, *models}:
        raise ValueError(
            "`more_baselines` should have names of their own. "
            f"Received: {', '.join(sorted(taken))}."
        )
    return {**baselines, **more_baselines, **models}


def _measure(
    scorers: Mapping[str, ScoreBatch], split: EvaluationSplit, popularity: np.ndarray, k: int
) -> dict[str, tuple[np.ndarray, RecommendationStatistics]]:
    """The ranks (int64 [U]) and the statistics of the lists of each baseline and model."""
    return {
        name: (ranks_full(scorer, split), recommendation_statistics(scorer, split, popularity, k))
        for name, scorer in scorers.items()
    }
