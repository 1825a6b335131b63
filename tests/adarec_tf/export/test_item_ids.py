"""Item ids in the served graph against plain loops."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.export.item_ids import exclude_items, latest_items, mark_items

MAX_LENGTH = 4


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=6, max_size=6), min_size=0, max_size=4
    ),
    st.integers(1, MAX_LENGTH),
)
def test_latest_items_are_the_last_real_ones_backwards(
    rows: list[list[int]], num_latest: int
) -> None:
    item_ids = tf.reshape(tf.constant(rows, tf.int64), [len(rows), 6])
    latest, num_items = latest_items(item_ids, num_latest, MAX_LENGTH)
    real = [[item for item in row if item] for row in rows]
    kept = [row[::-1][:num_latest] for row in real]
    width = max([1, *(len(row) for row in kept)])
    expected = [row + [0] * (width - len(row)) for row in kept]
    np.testing.assert_array_equal(latest, np.reshape(expected, (len(rows), width)))
    np.testing.assert_array_equal(num_items, [min(len(row), MAX_LENGTH) for row in real])


def test_excluded_items_score_minus_infinity_once_or_repeated() -> None:
    scores = exclude_items(tf.ones([2, 3]), tf.constant([[2, 0, 2], [0, 0, 0]], tf.int64))
    np.testing.assert_array_equal(scores, [[1, -np.inf, 1], [1, 1, 1]])


def test_one_row_is_excluded_from_all() -> None:
    scores = exclude_items(tf.ones([2, 3]), tf.constant([[3]], tf.int64))
    np.testing.assert_array_equal(scores, [[1, 1, -np.inf]] * 2)


def test_marked_items_are_those_listed() -> None:
    marks = mark_items(tf.constant([[2, 0, 2], [0, 0, 0], [1, 3, 0]], tf.int64), 3)
    expected = [[False, True, False], [False, False, False], [True, False, True]]
    np.testing.assert_array_equal(marks, expected)
