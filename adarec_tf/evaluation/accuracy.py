"""How well models rank the test targets: all users and slices, with intervals and a test."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.evaluation.baselines import Baseline, item_popularity
from adarec_tf.evaluation.protocols import (
    CUTOFFS,
    EvaluationSplit,
    ScoreBatch,
    model_scorer,
    rank_full,
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
from adarec_tf.models.same_items import check_same_items
from adarec_tf.models.sequence_model import SequenceModel

Ranked = SequenceModel | Baseline | ScoreBatch


class Accuracy(NamedTuple):
    """What the ranks of all models tell.

    Attributes:
      rows: model to `hit_rate@k/full`, `ndcg@k/full` and `mrr@k/full` at all cut-offs, and to
        `catalog_coverage@k/full` and `mean_recommended_popularity@k/full` at one.
      slices: model to kind of slice (`history_length`, `target_popularity`) to slice to figures.
      slice_intervals: as `slices`, the 95% interval of `ndcg@k/full` of each slice that has users.
      intervals: model to metric to its 95% interval over users.
      student_against_teacher: metric to the paired test of the student minus the teacher; empty
        without the two.
    """

    rows: dict[str, dict[str, float]]
    slices: dict[str, dict[str, dict[str, SliceRow]]]
    slice_intervals: dict[str, dict[str, dict[str, Interval]]]
    intervals: dict[str, dict[str, Interval]]
    student_against_teacher: dict[str, PairedTest]

    def __str__(self) -> str:
        """The rows as a table."""
        names = sorted({name for row in self.rows.values() for name in row}, key=len)
        width = max(map(len, self.rows), default=0)
        lines = [" " * width + "".join(f"  {name.removesuffix('/full')}" for name in names)]
        for model, row in self.rows.items():
            cells = (f"{row[name]:>{len(name.removesuffix('/full')) + 2}.4f}" for name in names)
            lines.append(model.ljust(width) + "".join(cells))
        return "\n".join(lines)

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame, a row a model.

        Raises:
          ImportError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame.from_dict(self.rows, orient="index")

    def to_dict(self) -> dict[str, Any]:
        """All but the rows, as plain JSON types."""
        return {
            "slices": self.slices,
            "slice_intervals": {
                model: {
                    kind: {name: interval._asdict() for name, interval in of_kind.items()}
                    for kind, of_kind in kinds.items()
                }
                for model, kinds in self.slice_intervals.items()
            },
            "intervals": {
                model: {name: interval._asdict() for name, interval in intervals.items()}
                for model, intervals in self.intervals.items()
            },
            "student_against_teacher": {
                name: test._asdict() for name, test in self.student_against_teacher.items()
            },
        }


def evaluate(
    models: Mapping[str, Any],
    dataset: Dataset,
    *,
    k: int = 10,
    cutoffs: Sequence[int] = (),
    seed: int = 0,
) -> Accuracy:
    """Ranks the test targets of a dataset with each model; printed, it is a table.

    Examples:
        >>> accuracy = ar.evaluate({"popularity": ar.Popularity(), "student": student}, data)
        >>> print(str(accuracy).splitlines()[0].split()[:3])
        ['mrr@10', 'ndcg@10', 'hit_rate@10']

    Args:
      models: by name: a teacher or student, `Popularity()`, `Markov()`, `ItemKNN()`, or a function
        that scores (see `ScoreBatch`). Where a `student` and a `teacher` are among them, they are
        compared user by user.
      dataset: its test targets are ranked; baselines count its train histories.
      k: cut-off of the metrics.
      cutoffs: further ones.
      seed: of the resampling of intervals.

    Returns:
      Figures, intervals and slices of each model.

    Raises:
      ValueError: there are no test histories, a model knows other items, or gives NaN.
    """
    for name, model in models.items():
        if hasattr(model, "sequence_embedding"):
            check_same_items(**{f"models[{name!r}]": model, "dataset": dataset})
    return measure_accuracy(
        models,
        dataset.train,
        dataset.test,
        statistics=dataset.statistics,
        k=k,
        cutoffs=cutoffs,
        seed=seed,
    )


def measure_accuracy(
    models: Mapping[str, Ranked],
    train: Histories,
    test: Histories,
    *,
    statistics: SequenceStatistics,
    k: int,
    cutoffs: Sequence[int] = CUTOFFS,
    seed: int = 0,
) -> Accuracy:
    """Ranks the test targets once with each model.

    Args:
      models: by name: sequence models, baselines, or functions that score.
      train: the train split, which the baselines count.
      test: the test split.
      statistics: of these sequences; its `seen` and `max_length` hold for all models.
      k: cut-off of slices, coverage and popularity.
      cutoffs: those of the rows, intervals and tests besides k.
      seed: of the resampling.

    Raises:
      ValueError: there are no test histories, a cut-off is below 1, or a model gives NaN.
    """
    ks = sorted({k, *cutoffs})
    if ks[0] < 1:
        raise ValueError(f"Each k should be a positive integer. Received: k={ks[0]}.")
    num_items = statistics.num_items
    popularity = item_popularity(train, num_items)
    measured = _measure(
        {name: _scorer(model, train, num_items) for name, model in models.items()},
        EvaluationSplit(test, num_items, statistics.max_length, statistics.seen),
        popularity,
        k,
    )
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
    slice_intervals = {
        name: {
            kind: {
                of_slice: bootstrap_interval(of_model[f"ndcg@{k}/full"][is_in], seed=seed)
                for of_slice, is_in in of_kind.items()
                if is_in.any()
            }
            for kind, of_kind in kinds.items()
        }
        for name, of_model in gains.items()
    }
    intervals = {
        name: {metric: bootstrap_interval(users, seed=seed) for metric, users in of_model.items()}
        for name, of_model in gains.items()
    }
    tests = {
        metric: paired_test(users, gains["teacher"][metric], seed=seed)
        for metric, users in gains.get("student", {}).items()
        if "teacher" in gains
    }
    return Accuracy(rows, slices, slice_intervals, intervals, tests)


def _scorer(model: Ranked, train: Histories, num_items: int) -> ScoreBatch:
    if isinstance(model, Baseline):
        return model.scorer(train, num_items)
    if hasattr(model, "sequence_embedding"):
        return model_scorer(cast(SequenceModel, model))
    return cast(ScoreBatch, model)


def _measure(
    scorers: Mapping[str, ScoreBatch], split: EvaluationSplit, popularity: np.ndarray, k: int
) -> dict[str, tuple[np.ndarray, RecommendationStatistics]]:
    """The ranks (int64 [U]) and the statistics of the lists of each baseline and model."""
    measured = {}
    for name, scorer in scorers.items():
        ranks, lists = rank_full(scorer, split, k)
        measured[name] = ranks, recommendation_statistics(lists, popularity)
    return measured
