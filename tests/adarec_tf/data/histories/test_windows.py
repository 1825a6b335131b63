"""Windows of training histories: against a slow loop, and what they promise."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.windows import cut_windows
from tests.references import sequences as reference
from tests.strategies import HISTORY_ROWS, flat_histories


def rows_of(histories: Histories) -> list[tuple[bytes, list[int]]]:
    return [(key, histories.history(user).tolist()) for user, key in enumerate(histories.user_keys)]


@given(HISTORY_ROWS, st.integers(2, 7), st.integers(1, 6))
def test_windows_agree_with_the_reference(rows: list[list[int]], length: int, overlap: int) -> None:
    overlap = min(overlap, length - 1)
    expected = [
        (b"u%d" % user, window)
        for user, row in enumerate(rows)
        for window in reference.windows_of(row, length, overlap)
    ]
    windows = cut_windows(flat_histories(rows), length, overlap)
    assert rows_of(windows) == expected
    assert len(windows.targets) == len(expected)


@given(st.integers(0, 40), st.integers(2, 9))
def test_with_an_overlap_of_one_each_item_is_predicted_once(size: int, length: int) -> None:
    windows = cut_windows(flat_histories([list(range(size))]), length, 1)
    labels = Counter(item for _, window in rows_of(windows) for item in window[1:])
    assert labels == Counter(range(1, size))


def test_short_histories_stay_as_they_are() -> None:
    histories = flat_histories([[1, 2, 3], [], [4]])
    for ours, theirs in zip(cut_windows(histories, 3, 2), histories, strict=True):
        np.testing.assert_array_equal(ours, theirs)
