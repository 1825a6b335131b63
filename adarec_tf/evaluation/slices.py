"""Ranking metrics of parts of the users, by the length of the history and the target's popularity.

The slices of one kind hold each user exactly once.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.ranking import metrics_of_ranks

# Lower bounds; the last slice has no upper one.
LENGTH_EDGES = (1, 5, 10, 20, 50)
# A slice's figures: `users` and the metrics, None where it has no users.
SliceRow = dict[str, float | int | None]


def history_length_slices(histories: Histories) -> dict[str, np.ndarray]:
    """Slices of the valid or test split by how many items come before the target.

    Returns:
      Name (`1-4`, `50+`) to bool [U], which users.

    Raises:
      ValueError: a history is empty.
    """
    lengths = histories.lengths
    if lengths.min(initial=1) < 1:
        raise ValueError("Histories should have at least 1 item. Received: a history of 0.")
    places = np.searchsorted(LENGTH_EDGES, lengths, side="right") - 1
    names = [f"{edge}-{next_edge - 1}" for edge, next_edge in pairwise(LENGTH_EDGES)]
    return {name: places == place for place, name in enumerate([*names, f"{LENGTH_EDGES[-1]}+"])}


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
      ranks: int [U], from `rank_full`.
      slices: name to bool [U], which users.
      cutoffs: values of k.

    Returns:
      Name to `users`, `hit_rate@k/full`, `ndcg@k/full` and `mrr@k/full`. A slice without users
      has 0 users and None for each metric.

    Raises:
      ValueError: a cut-off is below 1.
    """
    rows: dict[str, SliceRow] = {}
    for name, is_in in slices.items():
        metrics = metrics_of_ranks(ranks[is_in], cutoffs=cutoffs, protocol="full")
        rows[name] = {
            "users": int(is_in.sum()),
            **(metrics if is_in.any() else dict.fromkeys(metrics)),
        }
    return rows
