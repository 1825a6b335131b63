"""Models without a parameter to learn: what every trained model must beat.

Each returns a `ScoreBatch` (see `protocols`). Scores are float64 here: float32 would merge
popularity ties away beside large transition counts, and ties count against the target.
"""

import numpy as np
import scipy.sparse

from adarec_tf.data.examples import Histories
from adarec_tf.metrics.protocols import ScoreBatch


def popularity_scorer(train: Histories, num_items: int) -> ScoreBatch:
    """Scores an item by how often it occurs in the training histories, for every user alike.

    Args:
      train: the train split.
      num_items: size of the catalogue.
    """
    counts = _popularity(train, num_items)
    return lambda rows, item_ids: np.broadcast_to(counts, (len(rows), num_items))


def markov_scorer(train: Histories, num_items: int) -> ScoreBatch:
    """First-order Markov chain: how often an item came right after the user's last one.

    Popularity, scaled below one transition, orders the items that never did.

    Args:
      train: the train split.
      num_items: size of the catalogue.
    """
    popularity = _popularity(train, num_items)
    fallback = popularity / (1.0 + popularity.max(initial=0.0))
    transitions = _transition_counts(train, num_items)

    def score(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        return transitions[item_ids[:, -1]].toarray() + fallback

    return score


def _popularity(train: Histories, num_items: int) -> np.ndarray:
    return np.bincount(train.item_ids, minlength=num_items + 1)[1:].astype(np.float64)


def _transition_counts(train: Histories, num_items: int) -> scipy.sparse.csr_matrix:
    """float64 [num_items + 1, num_items]: from item (or PAD, which nothing follows) to item."""
    is_followed = np.ones(len(train.item_ids), bool)
    lasts = train.row_splits[1:][train.lengths > 0] - 1
    is_followed[lasts] = False
    places = np.flatnonzero(is_followed)
    pairs = (train.item_ids[places], train.item_ids[places + 1] - 1)
    # The constructor sums the counts of equal pairs.
    return scipy.sparse.csr_matrix((np.ones(len(places)), pairs), shape=(num_items + 1, num_items))
