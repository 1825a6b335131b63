import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.item_tables import int8
from tests.adarec_tf.item_tables.test_table import random_table, table_of
from tests.references.item_tables import rounded_row

NUMBERS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
FORMATS = pytest.mark.parametrize(("name", "num_steps"), [("int8", 127), ("int4", 7)])
ROWS = st.lists(NUMBERS, min_size=8, max_size=8)


@FORMATS
def test_rows_are_rounded_as_one_would_by_hand(name: str, num_steps: int) -> None:
    table, given_table = table_of(name).item_table, random_table()
    table.set_table(given_table)
    expected = [rounded_row(row, num_steps) for row in given_table.astype(np.float64).tolist()]
    np.testing.assert_allclose(table.matrix(), expected, rtol=1e-5, atol=1e-6)


@FORMATS
@settings(deadline=None, max_examples=50)
@given(row=ROWS)
def test_no_number_moves_by_more_than_half_a_step(
    name: str, num_steps: int, row: list[float]
) -> None:
    table = table_of(name).item_table
    table.set_table(np.array([row] * 15, np.float32))
    rounded = table.matrix().numpy()[0]
    step = np.abs(row).max() / num_steps
    assert np.abs(rounded - np.array(row, np.float32)).max() <= 0.5001 * step + 1e-30
    table.set_table(np.array([rounded] * 15, np.float32))
    np.testing.assert_allclose(table.matrix().numpy()[0], rounded, rtol=1e-5)


@FORMATS
def test_a_row_of_zeros_stays_one(name: str, num_steps: int) -> None:
    del num_steps
    embedding = table_of(name)
    embedding.item_table.set_table(np.zeros([15, 8], np.float32))
    with embedding.serving_form():
        logits = embedding.item_logits(tf.ones([1, 8]))
    np.testing.assert_array_equal(embedding.item_table.matrix(), 0.0)
    np.testing.assert_array_equal(logits, 0.0)


@FORMATS
def test_rounding_passes_gradients_on_unchanged(name: str, num_steps: int) -> None:
    del num_steps
    table = table_of(name).item_table
    weights = tf.constant(random_table())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * table.matrix())
    np.testing.assert_array_equal(tape.gradient(loss, table.variable.value), weights)


@FORMATS
def test_rows_scored_a_few_at_a_time_score_alike(
    name: str, num_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    del num_steps
    embedding = table_of(name)
    states = tf.constant(np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32))
    expected = embedding.item_logits(states)
    monkeypatch.setattr(int8, "_MIN_CHUNK_ROWS", 4)  # of 15 rows, so the last is shorter
    with embedding.serving_form():
        logits = embedding.item_logits(states)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
