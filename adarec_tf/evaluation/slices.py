"""Ranking metrics of parts of the users, by the length of the history and the target's popularity.

The slices of one kind hold each user exactly once.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.ranking import metrics_of_ranks

LENGTH_EDGES = (1, 5, 10, 20, 50)
# A slice's figures: `users` and the metrics, None where it has no users.
SliceRow = dict[str, float | int | None]


def history_length_slices(
    histories: Histories, edges: Sequence[int] = LENGTH_EDGES
) -> dict[str, np.ndarray]:
    """Slices by how many items come before the target.

    Args:
      histories: the valid or test split.
      edges: increasing lower bounds of the slices; the last one has no upper bound.

    Returns:
      Name (`1-4`, `50+`) to bool [U], which users.

    Raises:
      ValueError: the edges do not increase, or a history is shorter than the first.
    """
    lengths = histories.lengths
    if len(edges) == 0 or any(np.diff(edges) <= 0):
        raise ValueError(f"`edges` should be one or more increasing integers. Received: {edges}.")
    if lengths.min(initial=edges[0]) < edges[0]:
        raise ValueError(
            f"Histories should have at least {edges[0]} items, the first edge. "
            f"Received: a history of {lengths.min()}."
        )
    places = np.searchsorted(edges, lengths, side="right") - 1
    names = [
        str(edge) if next_edge == edge + 1 else f"{edge}-{next_edge - 1}"
        for edge, next_edge in pairwise(edges)
    ]
    return {name: places == place for place, name in enumerate([*names, f"{edges[-1]}+"])}


def target_popularity_slices(
    histories: Histories, train_popularity: np.ndarray
) -> dict[str, np.ndarray]:
    """Slices by how often the target occurs in the training histories.

    Items in order of popularity (the lower id of equals first) are cut into thirds of the training
    interactions: few items make the head, many the tail. An unseen target has none.

    Args:
      histories: the valid or test split.
      train_popularity: float [num_items], training interactions of each item.

    Returns:
      `head`, `middle`, `tail` and `unseen` to bool [U], which users.
    """
    order = np.argsort(-train_popularity, kind="stable")
    ahead = np.cumsum(train_popularity[order]) - train_popularity[order]
    thirds = np.empty(len(order), np.int64)
    thirds[order] = np.floor(3 * ahead / max(train_popularity.sum(), 1)).astype(np.int64)
    thirds[train_popularity == 0] = 3
    targets = thirds[histories.targets - 1]
    return {
        name: targets == third for third, name in enumerate(("head", "middle", "tail", "unseen"))
    }


def slice_metrics(
    ranks: np.ndarray, slices: Mapping[str, np.ndarray], *, cutoffs: Sequence[int]
) -> dict[str, SliceRow]:
    """The metrics of each slice.

    Args:
      ranks: int [U], from `ranks_full`.
      slices: name to bool [U], which users.
      cutoffs: values of k.

    Returns:
      Name to `users`, `hit_rate@k/full`, `ndcg@k/full` and `mrr@k/full`. A slice without users
      has 0 users and None for each metric.

    Raises:
      ValueError: a cut-off is below 1.
    """
    return {name: _slice_row(ranks[is_in], cutoffs) for name, is_in in slices.items()}


def _slice_row(ranks: np.ndarray, cutoffs: Sequence[int]) -> SliceRow:
    metrics: SliceRow = {**metrics_of_ranks(ranks, cutoffs=cutoffs, protocol="full")}
    return {"users": len(ranks), **(metrics if len(ranks) else dict.fromkeys(metrics))}
