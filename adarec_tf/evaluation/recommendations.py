"""What users are shown: how much of the catalog, and how popular it is.

A list holds the first k candidates of a user, or all where there are fewer. Targets play no part.
"""

from typing import NamedTuple

import numpy as np


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
    lists: np.ndarray, train_popularity: np.ndarray
) -> RecommendationStatistics:
    """What the lists of all users hold.

    Args:
      lists: int [U, k], items that each user is shown, 0 where there is none.
      train_popularity: float [num_items], training interactions of each item.
    """
    shown = lists[(lists > 0).any(axis=1)]
    if not len(shown):
        return RecommendationStatistics(0.0, 0.0)
    of_users = np.append(0.0, train_popularity)[shown].sum(axis=1)
    num_covered = len(np.setdiff1d(shown, 0))
    return RecommendationStatistics(
        num_covered / len(train_popularity), float((of_users / (shown > 0).sum(axis=1)).mean())
    )
