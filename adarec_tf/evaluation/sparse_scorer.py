"""Scores that are the same for all users but at a few items: ranked without writing them out.

The rank of a target is counted as if all scores were the fallback, and then corrected at the items
that have another.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse
import tensorflow as tf

from adarec_tf.evaluation.ranking import Ranking


class SparseScorer:
    """A `ScoreBatch`: a fallback for all users, and more at the items that a history speaks for."""

    def __init__(
        self, fallback: np.ndarray, add: Callable[[np.ndarray], scipy.sparse.csr_matrix]
    ) -> None:
        """Sorts the fallback.

        Args:
          fallback: float64 [V], the score of an item that a history does not speak for.
          add: item ids (int64 [B, L], left-padded) to what they add to the fallback (float64
            [B, V]). Each number that it stores is above the whole fallback.
        """
        self._fallback, self._add = fallback, add
        self._order = np.argsort(-fallback, kind="stable")
        self._sorted = fallback[self._order[::-1]]
        self._places = np.empty_like(self._order)
        self._places[self._order] = np.arange(len(fallback))

    def __call__(self, rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """All scores, written out: float64 [B, V].

        Args:
          rows: not read.
          item_ids: int64 [B, L], left-padded.
        """
        return self._add(item_ids).toarray() + self._fallback

    def rank(
        self, item_ids: np.ndarray, targets: np.ndarray, excluded: np.ndarray | None, k: int
    ) -> Ranking:
        """Ranks targets among all items and lists the first ones.

        Args:
          item_ids: int64 [B, L], left-padded.
          targets: int64 [B], in 1..V.
          excluded: int64 [B, M], items that are no candidates, each once; 0 where there is none.
          k: length of the lists, V at most.
        """
        scores = self._add(item_ids)
        num_items = len(self._fallback)
        if excluded is not None:
            rows, columns = np.nonzero(excluded)
            values = (np.full(len(rows), -np.inf), (rows, excluded[rows, columns] - 1))
            scores = scores + scipy.sparse.csr_matrix(values, shape=scores.shape)
        of_targets = np.asarray(scores[np.arange(len(targets)), targets - 1]).ravel()
        of_targets += self._fallback[targets - 1]
        fallback = self._fallback[scores.indices]
        scores.data += fallback
        least = np.repeat(of_targets, np.diff(scores.indptr))
        # How many of the stored scores reach the target's whose fallback does not.
        gained = np.append(
            0, np.cumsum((scores.data >= least).astype(np.int64) - (fallback >= least))
        )
        ranks = num_items - np.searchsorted(self._sorted, of_targets)
        ranks += gained[scores.indptr[1:]] - gained[scores.indptr[:-1]]
        is_excluded = of_targets == -np.inf
        return Ranking(np.where(is_excluded, num_items + 1, ranks), self._lists(scores, k))

    def _lists(self, scores: scipy.sparse.csr_matrix, k: int) -> np.ndarray:
        """The first of the scores that are stored, and then of the fallback."""
        values, columns = padded_rows(scores)
        lengths = np.diff(scores.indptr)
        # Where the stored scores do not fill a list, so many items of the fallback hold enough.
        is_short = (values > -np.inf).sum(axis=1) < k
        best = self._order[: k + lengths[is_short].max(initial=0)]
        is_free = np.ones((len(lengths), len(best)), bool)
        rows, places = np.repeat(np.arange(len(lengths)), lengths), self._places[scores.indices]
        is_near = places < len(best)
        is_free[rows[is_near], places[is_near]] = False
        values = np.concatenate([values, np.where(is_free, self._fallback[best], -np.inf)], axis=1)
        columns = np.concatenate([columns, np.broadcast_to(best, is_free.shape)], axis=1)
        values, places = map(np.asarray, tf.math.top_k(values, k))
        return np.where(values > -np.inf, np.take_along_axis(columns, places, axis=1) + 1, 0)


def padded_rows(matrix: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """The stored numbers of each row side by side, and their columns in ascending order.

    Args:
      matrix: float64 [B, V]; its rows are sorted.

    Returns:
      float64 [B, W], -inf behind the last of a row; and int64 [B, W].
    """
    matrix.sort_indices()
    lengths = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(rows)) - matrix.indptr[rows]
    values = np.full((len(lengths), lengths.max(initial=0)), -np.inf)
    columns = np.zeros(values.shape, np.int64)
    values[rows, places], columns[rows, places] = matrix.data, matrix.indices
    return values, columns
