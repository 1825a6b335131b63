"""Ranks of one target item a user among the candidates, and the metrics that they make.

There is one target a user, so the ideal gain is 1 and NDCG needs no division.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """Where the targets of users stand, and what the users are shown.

    Attributes:
      ranks: int64 [U], from 1; a tie counts against the target, and one that is excluded ranks
        behind the whole catalog.
      lists: int32 [U, k], the first k candidates, best first, the lowest item id of equals first; 0
        where there is none.
    """

    ranks: np.ndarray
    lists: np.ndarray


def user_gains(
    ranks: np.ndarray, *, cutoffs: Sequence[int], protocol: str
) -> dict[str, np.ndarray]:
    """What each user adds to a metric: the metric is the mean of these.

    Args:
      ranks: int [U], from 1.
      cutoffs: values of k.
      protocol: how the candidates were chosen, the last part of a name.

    Returns:
      `hit_rate@k/protocol`, `ndcg@k/protocol` and `mrr@k/protocol` for each cut-off: float64 [U],
      0 behind k.

    Raises:
      ValueError: a cut-off is below 1.
    """
    if min(cutoffs, default=1) < 1:
        raise ValueError(f"Each k should be a positive integer. Received: k={min(cutoffs)}.")
    return {
        f"{metric}@{k}/{protocol}": np.where(ranks <= k, gains_of(ranks), 0.0)
        for k in cutoffs
        for metric, gains_of in _GAINS.items()
    }


def metrics_of_ranks(
    ranks: np.ndarray, *, cutoffs: Sequence[int], protocol: str
) -> dict[str, float]:
    """All metrics at all cut-offs: the means of `user_gains`, 0 for no users at all.

    Args:
      ranks: int [U], from 1.
      cutoffs: values of k.
      protocol: how the candidates were chosen, the last part of a name.

    Raises:
      ValueError: a cut-off is below 1.
    """
    gains = user_gains(ranks, cutoffs=cutoffs, protocol=protocol)
    return {name: float(of_users.mean()) if len(ranks) else 0.0 for name, of_users in gains.items()}


_GAINS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "hit_rate": lambda ranks: np.ones(len(ranks)),
    "ndcg": lambda ranks: 1.0 / np.log2(1.0 + ranks),
    "mrr": lambda ranks: 1.0 / ranks,
}
