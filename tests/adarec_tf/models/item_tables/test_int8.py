import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.models.item_tables import ITEM_TABLES
from adarec_tf.models.item_tables.table import TableSize
from tests.adarec_tf.models.item_tables.test_table import random_table, table_of
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


@pytest.mark.parametrize(
    ("name", "kept_in_100", "kept_in_200"), [("int8", 0.98, 1.0), ("int4", 0.84, 0.98)]
)
def test_what_rounding_costs_the_best_of_a_catalog(
    name: str, kept_in_100: float, kept_in_200: float
) -> None:
    """Of the best 100 by a table of normal numbers, the share among the best of the rounded one."""
    num_items, hidden_dim = 20_000, 64
    generator = np.random.default_rng(0)
    given_table = generator.normal(size=(num_items + 1, hidden_dim)).astype(np.float32)
    states = generator.normal(size=(20, hidden_dim)).astype(np.float32)
    size = TableSize(num_items, num_items + 1, hidden_dim)
    table = ITEM_TABLES[name](size)
    table.variable = tf.Variable(given_table)
    by_floats = np.argsort(-states @ given_table[1:].T, axis=1)[:, :100]
    best = np.argsort(-table.served().logits(tf.constant(states)), axis=1)
    for num, share in ((100, kept_in_100), (200, kept_in_200)):
        kept = [np.isin(ours, theirs[:num]) for ours, theirs in zip(by_floats, best, strict=True)]
        assert np.mean(kept) >= share
