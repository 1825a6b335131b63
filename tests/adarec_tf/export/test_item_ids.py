"""Item ids in the served graph against plain loops."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.export import item_ids
from adarec_tf.export.item_ids import (
    best_items,
    best_of_blocks,
    exclude_items,
    exclude_listed,
    latest_items,
    mark_items,
)

MAX_LENGTH = 4


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=6, max_size=6), min_size=0, max_size=4
    ),
    st.integers(1, MAX_LENGTH),
)
def test_latest_items_are_the_last_real_ones_backwards(
    rows: list[list[int]], receptive_field: int
) -> None:
    ids = tf.reshape(tf.constant(rows, tf.int64), [len(rows), 6])
    latest, num_items = latest_items(ids, receptive_field, MAX_LENGTH)
    real = [[item for item in row if item] for row in rows]
    kept = [row[::-1][:receptive_field] for row in real]
    expected = [row + [0] * (receptive_field - len(row)) for row in kept]
    np.testing.assert_array_equal(latest, np.reshape(expected, (len(rows), receptive_field)))
    expected_counts = [min(len(row), MAX_LENGTH) for row in real]
    np.testing.assert_array_equal(num_items, np.reshape(expected_counts, (len(rows), 1)))


def test_excluded_items_score_minus_infinity_once_or_repeated() -> None:
    scores = exclude_items(tf.ones([2, 3]), tf.constant([[2, 0, 2], [0, 0, 0]], tf.int64))
    np.testing.assert_array_equal(scores, [[1, -np.inf, 1], [1, 1, 1]])


def test_one_list_is_excluded_from_all_rows() -> None:
    scores = exclude_listed(tf.ones([2, 3]), tf.constant([[3]], tf.int64))
    np.testing.assert_array_equal(scores, [[1, 1, -np.inf]] * 2)


def test_marked_items_are_those_listed() -> None:
    marks = mark_items(tf.constant([[2, 0, 2], [0, 0, 0], [1, 3, 0]], tf.int64), 3)
    expected = [[False, True, False], [False, False, False], [True, False, True]]
    np.testing.assert_array_equal(marks, expected)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.integers(0, 3), st.integers(1, 6), st.integers(0, 2**31), st.data())
def test_the_best_of_blocks_are_the_best_and_of_equal_ones_the_first(
    num_items: int, num_rows: int, num_values: int, seed: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, num_items))
    values = np.append(np.arange(num_values), -np.inf)  # few, so that most are equal
    scores = np.random.default_rng(seed).choice(values, (num_rows, num_items)).astype(np.float32)
    best_scores, columns = best_of_blocks(tf.constant(scores), tf.constant(k))
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(best_scores, np.take_along_axis(scores, expected, axis=1))


@pytest.mark.parametrize("min_items", [0, 10**9])
def test_many_items_and_few_are_searched_alike(
    min_items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_ids, "_MIN_ITEMS_FOR_BLOCKS", min_items)
    scores = np.random.default_rng(1).normal(size=(2, 1000)).astype(np.float32)
    best_scores, columns = tf.function(best_items)(tf.constant(scores), tf.constant(20))
    expected = np.argsort(-scores, axis=1)[:, :20]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(best_scores, np.take_along_axis(scores, expected, axis=1))
