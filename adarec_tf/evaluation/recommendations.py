"""What users are shown: how much of the catalog, and how popular it is.

A list holds the first k candidates of a user, or all where there are fewer. Targets play no part.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_recommenders.layers.factorized_top_k import BruteForce

from adarec_tf.evaluation.protocols import EvaluationSplit, ScoreBatch, last_states_of
from adarec_tf.models.sequence_model import SequenceModel

# Rows, their item ids (see `ScoreBatch`) and N to the columns of the N best items, int32 [B, N].
TopColumns = Callable[[np.ndarray, np.ndarray, int], tf.Tensor]


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


def scored_columns(score_batch: ScoreBatch) -> TopColumns:
    """The lists of anything that scores; the lowest item id of equal scores comes first."""
    return lambda rows, item_ids, count: tf.math.top_k(score_batch(rows, item_ids), count).indices


def model_columns(model: SequenceModel) -> TopColumns:
    """The lists of tensorflow-recommenders' `BruteForce` over a model's tied item table."""
    embedding = model.sequence_embedding
    index = BruteForce().index(embedding.item_vectors(), tf.range(embedding.num_items))
    last_states = last_states_of(model)
    return lambda rows, item_ids, count: index(last_states(item_ids), k=count)[1]


def recommendation_statistics(
    top_columns: TopColumns, split: EvaluationSplit, train_popularity: np.ndarray, k: int
) -> RecommendationStatistics:
    """What the lists of all users hold.

    Args:
      top_columns: the model, see `scored_columns` and `model_columns`.
      split: the users and their candidates.
      train_popularity: float [num_items], training interactions of each item.
      k: length of a list.

    Raises:
      ValueError: `seen` is neither option, or k is below 1.
    """
    if k < 1:
        raise ValueError(f"`k` should be a positive integer. Received: k={k}.")
    is_covered = np.zeros(split.num_items, bool)
    sum_of_means, num_lists = 0.0, 0
    for rows, item_ids, is_excluded in split.batches():
        if is_excluded is None:
            is_excluded = np.zeros((len(rows), split.num_items), bool)
        # Not `query_with_exclusions`: it compares every pair of a candidate and an exclusion, and
        # fails where the two outnumber the catalog. Enough is asked for to drop some.
        num_asked = min(split.num_items, k + int(is_excluded.sum(axis=1).max()))
        columns = top_columns(rows, item_ids, num_asked).numpy()
        is_allowed = ~np.take_along_axis(is_excluded, columns, axis=1)
        is_shown = is_allowed & (is_allowed.cumsum(axis=1) <= k)
        is_covered[columns[is_shown]] = True
        lengths = is_shown.sum(axis=1)
        popularity = (train_popularity[columns] * is_shown).sum(axis=1)
        sum_of_means += float((popularity / np.maximum(lengths, 1)).sum())
        num_lists += int((lengths > 0).sum())
    return RecommendationStatistics(float(is_covered.mean()), sum_of_means / max(num_lists, 1))
