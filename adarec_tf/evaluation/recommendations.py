"""What users are shown at all: how much of the catalog, and how popular.

Targets play no part here. A list holds the first k candidates of a user under the full-catalog
protocol; a user with fewer candidates than k gets a shorter list.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_recommenders.layers.factorized_top_k import BruteForce

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.protocols import (
    POSITIONS_PER_BATCH,
    ScoreBatch,
    excluded_items,
    last_states_of,
    score_batches,
)
from adarec_tf.models.sequence_model import SequenceModel


class RecommendationStatistics(NamedTuple):
    """Coverage and popularity bias of the first k recommendations.

    Attributes:
      catalog_coverage: share of the catalog that at least one user is shown, 0..1; reported as
        `catalog_coverage@k/full`.
      mean_popularity: training interactions of an item shown: the mean over a user's list, then
        over users; reported as `mean_recommended_popularity@k/full`.
    """

    catalog_coverage: float
    mean_popularity: float


def recommendation_statistics(
    score_batch: ScoreBatch,
    histories: Histories,
    train_popularity: np.ndarray,
    *,
    num_items: int,
    max_length: int,
    seen: str,
    k: int,
    positions_per_batch: int = POSITIONS_PER_BATCH,
) -> RecommendationStatistics:
    """Looks at the lists of anything that scores; of equal scores the lowest item id comes first.

    Args:
      score_batch: the model, see `ScoreBatch`.
      histories: the valid or test split; targets are not used.
      train_popularity: float [num_items], training interactions of each item.
      num_items: size of the catalog.
      max_length: items of a history the model sees.
      seen: `exclude` or `keep`: whether items of the history are candidates.
      k: length of a list.
      positions_per_batch: B x L aimed at.

    Raises:
      ValueError: `seen` is neither option, or k is below 1.
    """
    _check_k(k)

    def shown_items() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for rows, item_ids in score_batches(
            histories,
            num_items=num_items,
            max_length=max_length,
            positions_per_batch=positions_per_batch,
        ):
            is_excluded = excluded_items(histories, rows, num_items=num_items, seen=seen)
            columns = _top_columns(score_batch(rows, item_ids), is_excluded, k)
            is_shown = np.ones(columns.shape, bool)
            if is_excluded is not None:
                is_shown = ~np.take_along_axis(is_excluded, columns, axis=1)
            yield columns, is_shown

    return _statistics(shown_items(), train_popularity)


def model_recommendation_statistics(
    model: SequenceModel,
    histories: Histories,
    train_popularity: np.ndarray,
    *,
    max_length: int,
    seen: str,
    k: int,
    positions_per_batch: int = POSITIONS_PER_BATCH,
) -> RecommendationStatistics:
    """The same of a sequence model, whose lists come from tensorflow-recommenders' `BruteForce`.

    Args:
      model: the model, with its tied item table.
      histories: the valid or test split; targets are not used.
      train_popularity: float [num_items], training interactions of each item.
      max_length: items of a history the model sees.
      seen: `exclude` or `keep`: whether items of the history are candidates.
      k: length of a list.
      positions_per_batch: B x L aimed at.

    Raises:
      ValueError: `seen` is neither option, or k is below 1.
    """
    _check_k(k)
    num_items = model.sequence_embedding.num_items
    index = BruteForce().index(model.sequence_embedding.item_vectors(), tf.range(num_items))
    last_states = last_states_of(model)

    def shown_items() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for rows, item_ids in score_batches(
            histories,
            num_items=num_items,
            max_length=max_length,
            positions_per_batch=positions_per_batch,
        ):
            is_excluded = excluded_items(histories, rows, num_items=num_items, seen=seen)
            if is_excluded is None:
                is_excluded = np.zeros((len(rows), num_items), bool)
            # Not `query_with_exclusions`: it compares every pair of a candidate and an exclusion,
            # and fails where the two outnumber the catalog. Asking for enough to drop some is
            # the same.
            num_asked = min(num_items, k + int(is_excluded.sum(axis=1).max()))
            columns = index(last_states(item_ids), k=num_asked)[1].numpy()
            is_allowed = ~np.take_along_axis(is_excluded, columns, axis=1)
            yield columns, is_allowed & (is_allowed.cumsum(axis=1) <= k)

    return _statistics(shown_items(), train_popularity)


def _top_columns(scores: np.ndarray, is_excluded: np.ndarray | None, k: int) -> np.ndarray:
    """Columns [B, min(k, V)], best first; excluded columns only where nothing else is left."""
    if is_excluded is not None:
        scores = np.where(is_excluded, -np.inf, scores)
    return tf.math.top_k(scores, min(k, scores.shape[1])).indices.numpy()


def _statistics(
    shown_items: Iterator[tuple[np.ndarray, np.ndarray]], train_popularity: np.ndarray
) -> RecommendationStatistics:
    """Adds up batches of columns (int [B, N]) and which of them are shown (bool [B, N])."""
    is_covered = np.zeros(len(train_popularity), bool)
    sum_of_means, num_lists = 0.0, 0
    for columns, is_shown in shown_items:
        is_covered[columns[is_shown]] = True
        lengths = is_shown.sum(axis=1)
        popularity = (train_popularity[columns] * is_shown).sum(axis=1)
        sum_of_means += float((popularity / np.maximum(lengths, 1)).sum())
        num_lists += int((lengths > 0).sum())
    return RecommendationStatistics(float(is_covered.mean()), sum_of_means / max(num_lists, 1))


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"`k` should be a positive integer. Received: k={k}.")
