"""How often each of some integers (item codes, times) occurs; counts of parts add up."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class ValueCounts(NamedTuple):
    """How often each value occurs.

    Attributes:
      values: int64 [K], distinct and increasing.
      counts: int64 [K].
    """

    values: np.ndarray
    counts: np.ndarray


def count_values(values: np.ndarray) -> ValueCounts:
    """Counts each of the values (integers [N], in any order)."""
    return ValueCounts(*np.unique(values.astype(np.int64), return_counts=True))


def merge_counts(parts: Iterable[ValueCounts]) -> ValueCounts:
    """Adds up counts made on parts."""
    listed = [ValueCounts(np.zeros(0, np.int64), np.zeros(0, np.int64)), *parts]
    values, places = np.unique(np.concatenate([p.values for p in listed]), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places, np.concatenate([part.counts for part in listed]))
    return ValueCounts(values, counts)
