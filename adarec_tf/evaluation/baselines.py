"""Models without a parameter to learn: what every trained model must beat.

Scores are float64: in float32 a large transition count would swallow popularity, which breaks ties.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.sparse
import tensorflow as tf

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.sparse_scorer import SparseScorer, padded_rows

_MAX_PAIRS = 2**22  # pairs of items compared at once
_TIE_BREAK = 1e-9


@dataclasses.dataclass(frozen=True)
class Popularity:
    """Scores an item by how often it occurs in the training histories, for every user alike.

    Examples:
        >>> comparison = ar.evaluate({"popularity": ar.Popularity()}, data)
        >>> comparison.rows["popularity"]["ndcg@10/full"] > 0
        True
    """

    def scorer(self, train: Histories, num_items: int) -> SparseScorer:
        """Counts the training histories.

        Args:
          train: the train split.
          num_items: size of the catalog.

        Returns:
          A function from histories to the scores [B, num_items] of all items.
        """
        return SparseScorer(
            item_popularity(train, num_items),
            lambda item_ids: scipy.sparse.csr_matrix((len(item_ids), num_items)),
        )


@dataclasses.dataclass(frozen=True)
class Markov:
    """Scores an item by how often it came right after the user's last one in training.

    Popularity, scaled below one transition, breaks ties.

    Examples:
        >>> list(ar.evaluate({"markov": ar.Markov()}, data).rows)
        ['markov']
    """

    def scorer(self, train: Histories, num_items: int) -> SparseScorer:
        """Counts the transitions of the training histories.

        Args:
          train: the train split.
          num_items: size of the catalog.

        Returns:
          A function from histories to the scores [B, num_items] of all items.
        """
        transitions = _transition_counts(train, num_items)
        return SparseScorer(
            _shares(train, num_items), lambda item_ids: transitions[item_ids[:, -1]]
        )


@dataclasses.dataclass(frozen=True)
class ItemKNN:
    """Scores an item by which other users took it together with the user's last ones.

    The similarity of two items is the cosine of their sets of training users. A candidate's score
    is the sum, over the user's last items, of its similarity to the item divided by the item's
    place from the end. Popularity orders candidates of equal score.

    Examples:
        >>> list(ar.evaluate({"neighbors": ar.ItemKNN(num_last=5)}, data).rows)
        ['neighbors']

    Attributes:
      num_last: items at the end of a history that are looked at.
      num_neighbors: most similar items kept of each item; the lower id of equals first.
    """

    num_last: int = 10
    num_neighbors: int = 100

    def __post_init__(self) -> None:
        """Refuses what is no positive number."""
        for name, value in dataclasses.asdict(self).items():
            if value < 1:
                raise ValueError(
                    f"`{name}` should be a positive integer. Received: {name}={value}."
                )

    def scorer(self, train: Histories, num_items: int) -> SparseScorer:
        """Compares the items of the training histories.

        Args:
          train: the train split.
          num_items: size of the catalog.

        Returns:
          A function from histories to the scores [B, num_items] of all items.
        """
        similarities = _neighbor_similarities(train, num_items, self.num_neighbors)
        # Below the smallest real score, and too small to reorder scores that differ by more than
        # noise.
        smallest = similarities.data.min(initial=1.0) / self.num_last
        fallback = _shares(train, num_items) * min(_TIE_BREAK, smallest / 2)

        def add(item_ids: np.ndarray) -> scipy.sparse.csr_matrix:
            lasts = item_ids[:, ::-1][:, : self.num_last]
            weights = np.broadcast_to(1.0 / np.arange(1, lasts.shape[1] + 1), lasts.shape)
            places = np.repeat(np.arange(len(lasts)), lasts.shape[1])
            weighted_lasts = scipy.sparse.csr_matrix(
                (weights.ravel(), (places, lasts.ravel())), shape=(len(lasts), num_items + 1)
            )
            return weighted_lasts @ similarities

        return SparseScorer(fallback, add)


Baseline = Popularity | Markov | ItemKNN
BASELINES: dict[str, Baseline] = {
    "popularity": Popularity(),
    "markov": Markov(),
    "item_knn": ItemKNN(),
}


def item_popularity(train: Histories, num_items: int) -> np.ndarray:
    """Training interactions of each item: float64 [num_items], item 1 first.

    Args:
      train: the train split.
      num_items: size of the catalog.
    """
    return np.bincount(train.item_ids, minlength=num_items + 1)[1:].astype(np.float64)


def _shares(train: Histories, num_items: int) -> np.ndarray:
    """Popularity, scaled to 0..1 without the 1."""
    popularity = item_popularity(train, num_items)
    return popularity / (1.0 + popularity.max(initial=0.0))


def _neighbor_similarities(
    train: Histories, num_items: int, num_neighbors: int
) -> scipy.sparse.csr_matrix:
    """float64 [num_items + 1, num_items]: from item (or PAD, which has none) to its neighbors."""
    users = np.repeat(np.arange(train.num_users), train.lengths)
    taken = scipy.sparse.csr_matrix(
        (np.ones(len(users)), (train.item_ids - 1, users)), shape=(num_items, train.num_users)
    )
    taken.data[:] = 1.0  # the constructor has added up repeats
    taken_by_user = taken.T.tocsr()
    counts = np.diff(taken.indptr).astype(np.float64)
    num_pairs = np.minimum(taken @ np.diff(taken_by_user.indptr), num_items)
    # Filled in place: among a million items a copy of all neighbors takes more than a gigabyte.
    most = np.minimum(num_pairs, num_neighbors).astype(np.int64)
    starts = np.concatenate([[0, 0], np.cumsum(most)])
    similarities = np.zeros(starts[-1])
    neighbors = np.zeros(starts[-1], np.int32)
    for items in _blocks(num_pairs):
        pairs = taken[items] @ taken_by_user
        firsts = np.repeat(items, np.diff(pairs.indptr))
        pairs.data /= np.sqrt(counts[firsts] * counts[pairs.indices])
        pairs.data[firsts == pairs.indices] = -np.inf
        values, others = padded_rows(pairs)
        values, places = map(np.asarray, tf.math.top_k(values, min(num_neighbors, len(others[0]))))
        rows, columns = np.nonzero(values > -np.inf)
        targets = starts[items[rows] + 1] + columns
        similarities[targets] = values[rows, columns]
        neighbors[targets] = others[rows, places[rows, columns]]
    shape = (num_items + 1, num_items)
    found = scipy.sparse.csr_matrix((similarities, neighbors, starts), shape=shape)
    found.eliminate_zeros()  # where an item has fewer neighbors than pairs
    return found


def _blocks(num_pairs: np.ndarray) -> Iterator[np.ndarray]:
    """The items that somebody took, those of most pairs first, in blocks of `_MAX_PAIRS` or one.

    Items of a block have about as many pairs each, so that their rows can be padded.
    """
    order = np.argsort(-num_pairs, kind="stable")[: np.count_nonzero(num_pairs)]
    start = 0
    while start < len(order):
        stop = start + max(1, _MAX_PAIRS // int(num_pairs[order[start]]))
        yield order[start:stop]
        start = stop


def _transition_counts(train: Histories, num_items: int) -> scipy.sparse.csr_matrix:
    """float64 [num_items + 1, num_items]: from item (or PAD, which nothing follows) to item."""
    is_followed = np.ones(len(train.item_ids), bool)
    lasts = train.row_splits[1:][train.lengths > 0] - 1
    is_followed[lasts] = False
    places = np.flatnonzero(is_followed)
    pairs = (train.item_ids[places], train.item_ids[places + 1] - 1)
    # The constructor sums the counts of equal pairs.
    return scipy.sparse.csr_matrix((np.ones(len(places)), pairs), shape=(num_items + 1, num_items))
