"""Models without a parameter to learn: what every trained model must beat.

Scores are float64: in float32 a large transition count would swallow popularity, which breaks ties.
"""

import dataclasses

import numpy as np
import scipy.sparse

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.protocols import ScoreBatch

_MAX_PAIRS = 2**24  # pairs of items compared at once
_TIE_BREAK = 1e-9


@dataclasses.dataclass(frozen=True)
class Popularity:
    """Scores an item by how often it occurs in the training histories, for every user alike.

    >>> ar.evaluate({"popularity": ar.Popularity()}, data).rows["popularity"]["ndcg@10/full"] > 0
    True
    """

    def scorer(self, train: Histories, num_items: int) -> ScoreBatch:
        """See `popularity_scorer`.

        Args:
          train: the train split.
          num_items: size of the catalog.
        """
        return popularity_scorer(train, num_items)


@dataclasses.dataclass(frozen=True)
class Markov:
    """Scores an item by how often it came right after the user's last one in training.

    >>> list(ar.evaluate({"markov": ar.Markov()}, data).rows)
    ['markov']
    """

    def scorer(self, train: Histories, num_items: int) -> ScoreBatch:
        """See `markov_scorer`.

        Args:
          train: the train split.
          num_items: size of the catalog.
        """
        return markov_scorer(train, num_items)


@dataclasses.dataclass(frozen=True)
class ItemKNN:
    """Scores an item by which other users took it together with the user's last ones.

    >>> list(ar.evaluate({"neighbors": ar.ItemKNN(num_last=5)}, data).rows)
    ['neighbors']

    Attributes:
      num_last: items at the end of a history that are looked at.
      num_neighbors: most similar items kept of each item.
    """

    num_last: int = 10
    num_neighbors: int = 100

    def scorer(self, train: Histories, num_items: int) -> ScoreBatch:
        """See `item_knn_scorer`.

        Args:
          train: the train split.
          num_items: size of the catalog.
        """
        return item_knn_scorer(train, num_items, **dataclasses.asdict(self))


Baseline = Popularity | Markov | ItemKNN
BASELINES: dict[str, Baseline] = {
    "popularity": Popularity(),
    "markov": Markov(),
    "item_knn": ItemKNN(),
}


def popularity_scorer(train: Histories, num_items: int) -> ScoreBatch:
    """Scores an item by how often it occurs in the training histories, for every user alike.

    Args:
      train: the train split.
      num_items: size of the catalog.
    """
    counts = item_popularity(train, num_items)
    return lambda rows, item_ids: np.broadcast_to(counts, (len(rows), num_items))


def markov_scorer(train: Histories, num_items: int) -> ScoreBatch:
    """First-order Markov chain: how often an item came right after the user's last one.

    Popularity, scaled below one transition, breaks ties.

    Args:
      train: the train split.
      num_items: size of the catalog.
    """
    popularity = item_popularity(train, num_items)
    fallback = popularity / (1.0 + popularity.max(initial=0.0))
    transitions = _transition_counts(train, num_items)

    def score(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return transitions[item_ids[:, -1]].toarray() + fallback

    return score


def item_knn_scorer(
    train: Histories, num_items: int, *, num_last: int = 10, num_neighbors: int = 100
) -> ScoreBatch:
    """Item-based nearest neighbors: other users of the user's last items took these too.

    The similarity of two items is the cosine of their sets of training users. A candidate's score
    is the sum, over the user's last items, of its similarity to the item divided by the item's
    place from the end. Popularity orders candidates of equal score.

    Args:
      train: the train split.
      num_items: size of the catalog.
      num_last: items at the end of a history that are looked at.
      num_neighbors: most similar items kept of each item; the lower id of equals first.

    Raises:
      ValueError: `num_last` or `num_neighbors` is below 1.
    """
    for name, value in (("num_last", num_last), ("num_neighbors", num_neighbors)):
        if value < 1:
            raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value}.")
    similarities = _neighbor_similarities(train, num_items, num_neighbors)
    popularity = item_popularity(train, num_items)
    # Below the smallest real score, and too small to reorder scores that differ by more than noise.
    smallest = similarities.data.min(initial=1.0) / num_last
    fallback = popularity / (1.0 + popularity.max(initial=0.0)) * min(_TIE_BREAK, smallest / 2)

    def score(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        lasts = item_ids[:, ::-1][:, :num_last]
        weights = np.broadcast_to(1.0 / np.arange(1, lasts.shape[1] + 1), lasts.shape)
        places = np.repeat(np.arange(len(rows)), lasts.shape[1])
        weighted_lasts = scipy.sparse.csr_matrix(
            (weights.ravel(), (places, lasts.ravel())), shape=(len(rows), num_items + 1)
        )
        return (weighted_lasts @ similarities).toarray() + fallback

    return score


def item_popularity(train: Histories, num_items: int) -> np.ndarray:
    """Training interactions of each item: float64 [num_items], item 1 first.

    Args:
      train: the train split.
      num_items: size of the catalog.
    """
    return np.bincount(train.item_ids, minlength=num_items + 1)[1:].astype(np.float64)


def _neighbor_similarities(
    train: Histories, num_items: int, num_neighbors: int
) -> scipy.sparse.csr_matrix:
    """float64 [num_items + 1, num_items]: from item (or PAD, which has none) to its neighbors."""
    users = np.repeat(np.arange(train.num_users), train.lengths)
    taken = scipy.sparse.csr_matrix(
        (np.ones(len(users)), (train.item_ids, users)), shape=(num_items + 1, train.num_users)
    )
    taken.data[:] = 1.0  # the constructor has added up repeats
    counts = np.diff(taken.indptr).astype(np.float64)
    taken_by_user = taken[1:].T.tocsr()
    size = max(1, _MAX_PAIRS // num_items)
    blocks = []
    for start in range(0, num_items + 1, size):
        pairs = (taken[start : start + size] @ taken_by_user).tocoo()
        items, others = pairs.row.astype(np.int64) + start, pairs.col.astype(np.int64)
        is_other = items != others + 1
        items, others = items[is_other], others[is_other]
        values = pairs.data[is_other] / np.sqrt(counts[items] * counts[others + 1])
        kept = _first_of_each(items, np.lexsort((others, -values, items)), num_neighbors)
        blocks.append((values[kept], items[kept], others[kept]))
    values, items, others = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return scipy.sparse.csr_matrix((values, (items, others)), shape=(num_items + 1, num_items))


def _first_of_each(groups: np.ndarray, order: np.ndarray, num_kept: int) -> np.ndarray:
    """The first `num_kept` places of each group, in an order that keeps groups together."""
    ordered = groups[order]
    return order[np.arange(len(ordered)) - np.searchsorted(ordered, ordered) < num_kept]


def _transition_counts(train: Histories, num_items: int) -> scipy.sparse.csr_matrix:
    """float64 [num_items + 1, num_items]: from item (or PAD, which nothing follows) to item."""
    is_followed = np.ones(len(train.item_ids), bool)
    lasts = train.row_splits[1:][train.lengths > 0] - 1
    is_followed[lasts] = False
    places = np.flatnonzero(is_followed)
    pairs = (train.item_ids[places], train.item_ids[places + 1] - 1)
    # The constructor sums the counts of equal pairs.
    return scipy.sparse.csr_matrix((np.ones(len(places)), pairs), shape=(num_items + 1, num_items))
