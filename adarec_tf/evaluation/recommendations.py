"""What users are shown: how much of the catalog, and how popular it is.

A list holds the first k candidates of a user, or all where there are fewer. Targets play no part.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.evaluation.protocols import EvaluationSplit, ScoreBatch


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
    score_batch: ScoreBatch, split: EvaluationSplit, train_popularity: np.ndarray, k: int
) -> RecommendationStatistics:
    """What the lists of all users hold; the lowest item id of equal scores comes first.

    Args:
      score_batch: the model, see `ScoreBatch`.
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
        # Enough is asked for to drop some.
        num_asked = min(split.num_items, k + int(is_excluded.sum(axis=1).max()))
        columns = tf.math.top_k(score_batch(rows, item_ids), num_asked).indices.numpy()
        is_allowed = ~np.take_along_axis(is_excluded, columns, axis=1)
        is_shown = is_allowed & (is_allowed.cumsum(axis=1) <= k)
        is_covered[columns[is_shown]] = True
        lengths = is_shown.sum(axis=1)
        popularity = (train_popularity[columns] * is_shown).sum(axis=1)
        sum_of_means += float((popularity / np.maximum(lengths, 1)).sum())
        num_lists += int((lengths > 0).sum())
    return RecommendationStatistics(float(is_covered.mean()), sum_of_means / max(num_lists, 1))
