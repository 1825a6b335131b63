"""Ranking metrics of one target item a user, from its rank among the candidates.

There is one target a user, so the ideal gain is 1 and NDCG needs no division.
"""

from collections.abc import Callable, Sequence

import numpy as np


def target_ranks(
    scores: np.ndarray, targets: np.ndarray, is_excluded: np.ndarray | None = None
) -> np.ndarray:
    """Ranks of the targets, counted from 1.

    A tie counts against the target: a model that scores all items alike gains nothing. A target
    that is excluded ranks behind the whole catalog.

    Args:
      scores: float [B, V]; column j belongs to item j + 1, so PAD is never a candidate.
      targets: int [B], item ids in 1..V.
      is_excluded: bool [B, V], which items are no candidates; by default all are.

    Returns:
      int64 [B], in 1..V + 1.

    Raises:
      ValueError: a score is NaN (which compares as if it beat every score), a target is no item
        of the catalog, or the shapes do not fit.
    """
    _check_scores(scores, targets, is_excluded)
    rows, columns = np.arange(len(targets)), targets - 1
    is_ahead = scores >= scores[rows, columns][:, None]
    if is_excluded is None:
        return is_ahead.sum(axis=1)  # the target itself is the 1 that ranks start from
    ranks = (is_ahead & ~is_excluded).sum(axis=1)
    return np.where(is_excluded[rows, columns], scores.shape[1] + 1, ranks)


def _check_scores(scores: np.ndarray, targets: np.ndarray, is_excluded: np.ndarray | None) -> None:
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise ValueError(
            "`scores` should be [B, num_items] and `targets` [B]. "
            f"Received: scores {scores.shape}, targets {targets.shape}."
        )
    if is_excluded is not None and is_excluded.shape != scores.shape:
        raise ValueError(
            f"`is_excluded` should have the shape of the scores, {scores.shape}. "
            f"Received: {is_excluded.shape}."
        )
    if np.isnan(scores).any():
        raise ValueError(
            "Scores should be numbers. Received: NaN, so the model cannot be ranked; "
            "look for a diverged training run."
        )
    if len(targets) and not 1 <= targets.min() <= targets.max() <= scores.shape[1]:
        raise ValueError(
            f"Targets should be item ids in 1..{scores.shape[1]}. "
            f"Received: {targets.min()}..{targets.max()}."
        )


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
