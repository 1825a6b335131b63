"""Item vectors of which items are met together, for a teacher's table to begin with.

Of a large catalog an item is met too seldom in a few epochs for its row to get far from where it
began. What its neighbors in the histories say is counted at once: the strongest directions of the
positive pointwise mutual information of items are what word2vec learns (Levy and Goldberg, NeurIPS
2014; Levy et al., TACL 2015, whose smoothing of frequent items and split of the values this has).
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.models.sequence_model import SequenceEmbedding

_WINDOW = 5  # items before and after, the n-th of which counts one n-th
_SMOOTHING = 0.75  # power of an item's frequency: rare items would be tied to rare ones alone
_PAIRS_AT_A_TIME = 20_000_000
_MOST_INTERACTIONS = 20_000_000  # that are counted, those of some users: pairs are 3 GB at most
_TOLERANCE = 0.1  # of the values: what is trained on need not begin at the last digit


def initialize_items(embedding: SequenceEmbedding, train: Histories, seed: int) -> None:
    """Sets the rows of items to `co_occurrence_vectors`, where they are near any other.

    Args:
      embedding: built; its table is changed.
      train: histories to learn from.
      seed: of the vectors.
    """
    table = np.array(embedding.item_table.matrix())
    vectors = co_occurrence_vectors(train, embedding.num_items, embedding.hidden_dim, seed)
    is_known = np.flatnonzero(vectors.any(axis=1))
    table[is_known + 1, : vectors.shape[1]] = vectors[is_known]
    embedding.item_table.set_table(table)


def co_occurrence_vectors(
    train: Histories, num_items: int, hidden_dim: int, seed: int
) -> np.ndarray:
    """Vectors whose products say how much more often two items are near each other than by chance.

    Args:
      train: histories to learn from.
      num_items: V.
      hidden_dim: D.
      seed: of the vector that the search for directions begins with, and of the users that are
        counted of a large log.

    Returns:
      float32 [V, min(D, V - 1)], of length 1, or 0 where an item is near no other.
    """
    share = _MOST_INTERACTIONS / max(1, len(train.item_ids))
    if share < 1:
        train = sample_users(train, max(1, round(share * train.num_users)), seed)
    num_directions = min(hidden_dim, num_items - 1)
    association = scipy.sparse.vstack([*_association(train, num_items)], format="csr")
    start = np.random.default_rng(seed).random(num_items, dtype=np.float32)
    values, vectors = scipy.sparse.linalg.eigsh(
        association, k=num_directions, which="LA", tol=_TOLERANCE, v0=start
    )
    vectors = vectors * np.sqrt(np.maximum(values, 0.0))
    vectors[np.diff(association.indptr) == 0] = 0.0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def _association(train: Histories, num_items: int) -> Iterator[scipy.sparse.csr_matrix]:
    """The rows of the positive pointwise mutual information of items, float32, in blocks."""
    items = train.item_ids - 1
    users = np.repeat(np.arange(train.num_users, dtype=np.int32), train.lengths)
    places = np.argsort(items, kind="stable")  # those of an item together
    ends = np.cumsum(np.bincount(items, minlength=num_items))
    nearness = np.bincount(items, _nearness(users), minlength=num_items)
    frequencies = nearness**_SMOOTHING
    chance = frequencies.sum() ** 2 / max(nearness.sum(), 1.0)
    first = 0
    while first < num_items:
        before = ends[first - 1] if first else 0
        most = before + _PAIRS_AT_A_TIME // (2 * _WINDOW)
        last = max(first + 1, int(np.searchsorted(ends, most, side="right")))
        counts = _pairs(items, users, places[before : ends[last - 1]], (first, last, num_items))
        rows = np.repeat(np.arange(first, last), np.diff(counts.indptr))
        ratio = counts.data * chance / (frequencies[rows] * frequencies[counts.indices])
        counts.data = np.log(np.maximum(ratio, 1.0)).astype(np.float32)
        counts.eliminate_zeros()
        yield counts
        first = last


def _nearness(users: np.ndarray) -> np.ndarray:
    """What all neighbors of each place of the histories count together: float64 [N]."""
    total = np.zeros(len(users))
    for distance in range(1, _WINDOW + 1):
        is_near = users[distance:] == users[:-distance]
        total[distance:] += is_near / distance
        total[:-distance] += is_near / distance
    return total


def _pairs(
    items: np.ndarray, users: np.ndarray, places: np.ndarray, shape: tuple[int, int, int]
) -> scipy.sparse.csr_matrix:
    """How near items are to others, summed up over the histories.

    Args:
      items: int [N], from 0, at all places of all histories.
      users: int32 [N], whose they are.
      places: those of the items of the rows.
      shape: the first item of the rows, the one after the last, and how many items there are.

    Returns:
      float32 [last - first, num_items].
    """
    first, last, num_items = shape
    rows, columns, weights = [], [], []
    for distance in (*range(-_WINDOW, 0), *range(1, _WINDOW + 1)):
        others = places + distance
        is_inside = (others >= 0) & (others < len(items))
        here, there = places[is_inside], others[is_inside]
        is_near = users[here] == users[there]
        rows.append(items[here[is_near]] - first)
        columns.append(items[there[is_near]])
        weights.append(np.full(is_near.sum(), 1 / abs(distance), np.float32))
    parts = [np.concatenate(part) for part in (weights, rows, columns)]
    return scipy.sparse.csr_matrix(
        (parts[0], (parts[1], parts[2])), shape=(last - first, num_items), dtype=np.float32
    )
