"""Hypothesis strategies for the records of this project."""

import numpy as np
from hypothesis import strategies as st

from adarec_tf.data.histories.histories import Histories

# Characters that break careless readers and writers, beside plain ones.
_ID_CHARACTERS = "ab01 ,\"'\t;|é漢\u2028"
raw_ids = st.text(_ID_CHARACTERS, min_size=1, max_size=4).filter(lambda text: text.strip() != "")


def interactions(
    max_rows: int = 60, with_ties: bool = True
) -> st.SearchStrategy[list[tuple[str, str, int]]]:
    """Logs of few users and items: (user, item, time) rows in order of arrival.

    Args:
      max_rows: rows at most.
      with_ties: whether times may be equal; without ties all times differ.
    """
    users = st.sampled_from([f"u{number}" for number in range(6)])
    items = st.sampled_from([f"i{number}" for number in range(5)])
    times = st.integers(-5, 5) if with_ties else st.integers(-(10**9), 10**9)
    rows = st.tuples(users, items, times)
    unique_by = None if with_ties else (lambda row: row[2])
    return st.lists(rows, max_size=max_rows, unique_by=unique_by)


def event_interactions(max_rows: int = 60) -> st.SearchStrategy[list[tuple[str, str, int, str]]]:
    """Logs with event types: (user, item, time, event) rows in order of arrival."""
    events = st.sampled_from(["view", "cart", "buy"])
    rows = st.tuples(interactions(max_rows), st.lists(events, min_size=max_rows, max_size=max_rows))
    return rows.map(lambda drawn: [(*row, event) for row, event in zip(*drawn, strict=False)])


# The items of a few users' histories, some of them empty.
HISTORY_ROWS = st.lists(
    st.lists(st.integers(1, 9), min_size=0, max_size=20), min_size=1, max_size=12
)


def flat_histories(rows: list[list[int]]) -> Histories:
    """Histories of these items, each with item 1 as its target."""
    keys = np.array([f"u{row}".encode() for row in range(len(rows))], object)
    flat = np.array([item for row in rows for item in row], np.int64)
    splits = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return Histories(keys, flat, splits, np.ones(len(rows), np.int64))
