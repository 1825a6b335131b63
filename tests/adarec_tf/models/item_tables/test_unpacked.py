"""Bytes in a bundle, floats in whoever loads it."""

import gc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.item_tables.table import TableSize
from adarec_tf.models.item_tables.unpacked import UnpackedTable

SIZE = TableSize(num_items=300, num_rows=301, hidden_dim=16)
STATES = tf.random.stateless_normal([2, SIZE.hidden_dim], [1, 2])


def made_table(seed: int = 1) -> tuple[UnpackedTable, np.ndarray]:
    """A table of integers that are each made of a byte of its own, and its matrix."""
    steps = np.random.default_rng(seed).integers(-9, 9, (SIZE.num_rows, SIZE.hidden_dim))
    scales = np.random.default_rng(seed).uniform(0.5, 2, (SIZE.num_rows, 1))
    table = UnpackedTable(
        SIZE, tf.cast(steps, tf.int8), tf.cast(scales, tf.float32), lambda packed: packed * 2
    )
    return table, (steps * 2 * scales).astype(np.float32)


def save(table: UnpackedTable, directory: Path) -> str:
    module = tf.Module()
    module.table = table
    rows = tf.function(lambda item_ids: {"rows": table.rows(item_ids)})
    signature = rows.get_concrete_function(tf.TensorSpec([None], tf.int64, name="item_ids"))
    tf.saved_model.save(module, str(directory), signatures={"rows": signature})
    return str(directory)


def test_rows_and_logits_are_the_integers_unpacked_and_scaled() -> None:
    table, matrix = made_table()
    ids = tf.constant([[0, 300], [7, 7]])
    np.testing.assert_allclose(table.rows(ids), matrix[ids.numpy()], rtol=1e-6)
    expected = STATES.numpy() @ matrix[1:].T
    np.testing.assert_allclose(table.logits(STATES), expected, rtol=1e-4, atol=1e-4)


def test_a_request_unpacks_nothing() -> None:
    table, _ = made_table()
    traced = tf.function(table.logits).get_concrete_function(tf.TensorSpec([None, 16], tf.float32))
    assert traced.graph.variables == ()  # neither the integers nor the scales
    types = {operation.type for operation in traced.graph.get_operations()}
    assert {"ReadVariableOp", "MatMul"} <= types
    assert not {"Cast", "Mul"} & types


def test_what_is_saved_are_integers_and_scales(tmp_path: Path) -> None:
    directory = save(made_table()[0], tmp_path / "saved")
    names = [name for name, _ in tf.train.list_variables(f"{directory}/variables/variables")]
    reader = tf.train.load_checkpoint(f"{directory}/variables/variables")
    saved = {
        (reader.get_variable_to_dtype_map()[name], tuple(reader.get_variable_to_shape_map()[name]))
        for name in names
        if "VARIABLE_VALUE" in name
    }
    assert saved == {(tf.int8, (301, 16)), (tf.float32, (301, 1))}


def test_tables_of_one_process_are_each_themselves(tmp_path: Path) -> None:
    made = [made_table(seed) for seed in (1, 2)]
    loaded = [
        tf.saved_model.load(save(table, tmp_path / str(number)))
        for number, (table, _) in enumerate(made)
    ]
    ids = tf.range(301, dtype=tf.int64)
    for (table, matrix), again in zip(made, loaded, strict=True):
        np.testing.assert_allclose(table.rows(ids), matrix, rtol=1e-6)
        rows = again.signatures["rows"](item_ids=ids)["rows"]
        np.testing.assert_array_equal(rows, table.rows(ids))


@pytest.mark.parametrize("is_loaded", [False, True])
def test_the_floats_go_with_the_table(tmp_path: Path, is_loaded: bool) -> None:
    owner: tf.Module | None = tf.Module()
    owner.table = made_table()[0]
    if is_loaded:
        owner = tf.saved_model.load(save(owner.table, tmp_path / "saved"))
    handle = owner.table._floats.resource_handle
    tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
    owner = None
    gc.collect()
    with pytest.raises(tf.errors.OpError):
        tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
