"""What every format of the item table has to do; a new one is tested by being registered."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.item_tables import ITEM_TABLES
from adarec_tf.models.losses import gbce_loss, sampled_softmax_loss
from adarec_tf.models.sequence_model import SequenceEmbedding

NUM_ITEMS, HIDDEN_DIM = 13, 8
IDS = tf.constant([[0, 3, NUM_ITEMS], [1, 1, NUM_ITEMS + 1]], tf.int64)
STATES = tf.random.stateless_normal([5, HIDDEN_DIM], [1, 2])
LABELS = tf.constant([1, 2, 3, 4, NUM_ITEMS], tf.int64)
NEGATIVES = tf.constant([0, 5, NUM_ITEMS - 1], tf.int64)


def table_of(format_name: str, num_items: int = NUM_ITEMS) -> SequenceEmbedding:
    keras.utils.set_random_seed(3)
    embedding = SequenceEmbedding(num_items, HIDDEN_DIM, 6, has_mask=True, item_table=format_name)
    embedding(tf.zeros([1, 1], tf.int64))
    return embedding


@pytest.fixture(params=ITEM_TABLES)
def embedding(request: pytest.FixtureRequest) -> SequenceEmbedding:
    return table_of(request.param)


def random_table(num_rows: int = NUM_ITEMS + 2) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(num_rows, HIDDEN_DIM)).astype(np.float32)


def test_every_format_that_may_be_named_exists() -> None:
    assert set(ITEM_TABLES) == set(StudentConfig.choices("precision"))


def test_rows_and_logits_are_those_of_the_matrix(embedding: SequenceEmbedding) -> None:
    table = embedding.item_table
    matrix = table.matrix().numpy()
    assert matrix.shape == (NUM_ITEMS + 2, HIDDEN_DIM)
    assert table.rows(IDS).shape == (2, 3, HIDDEN_DIM)
    np.testing.assert_allclose(table.rows(IDS), matrix[IDS.numpy()], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(embedding.item_vectors(), matrix[1:-1])
    np.testing.assert_allclose(
        embedding.item_logits(STATES), STATES.numpy() @ matrix[1:-1].T, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    "read", [lambda e: e(IDS), lambda e: e.item_logits(STATES), lambda e: e.item_vectors()]
)
def test_gradients_reach_every_weight(
    embedding: SequenceEmbedding, read: Callable[[SequenceEmbedding], tf.Tensor]
) -> None:
    variables = [v for v in embedding.trainable_variables if v.name.startswith("item_")]
    assert variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(read(embedding) - 1.0))
    for gradient in tape.gradient(loss, [v.value for v in variables]):
        assert np.any(tf.convert_to_tensor(gradient).numpy() != 0)


def test_fresh_rows_have_about_unit_length() -> None:
    for name in ITEM_TABLES:
        table = table_of(name, 400).item_table
        squares = np.square(table.matrix().numpy()).sum(axis=1)
        assert squares.mean() == pytest.approx(1.0, abs=0.35), name


def test_the_config_brings_the_table_back(embedding: SequenceEmbedding) -> None:
    config = embedding.get_config()
    again = SequenceEmbedding.from_config(config)
    assert again.table_format == config["item_table"] == embedding.table_format
    assert type(again.item_table) is type(embedding.item_table)
    assert again.item_table.size == embedding.item_table.size


def test_weights_follow_the_seed(embedding: SequenceEmbedding) -> None:
    format_name = embedding.table_format
    np.testing.assert_array_equal(
        table_of(format_name).item_table.matrix(), embedding.item_table.matrix()
    )


def test_serving_form_gives_the_same_numbers_within_it_alone(embedding: SequenceEmbedding) -> None:
    expected_rows, expected_logits = embedding(IDS), embedding.item_logits(STATES)
    with embedding.serving_form():
        rows, logits = embedding(IDS), embedding.item_logits(STATES)
        embedding.item_table.set_table(random_table())
    np.testing.assert_allclose(rows, expected_rows, rtol=1e-6, atol=1e-7)
    scale = np.abs(expected_logits).max()
    np.testing.assert_allclose(logits, expected_logits, rtol=0, atol=1e-5 * scale)
    assert np.abs(embedding.item_logits(STATES) - expected_logits).max() > 0.1 * scale


def test_served_bytes_are_those_of_the_variables_that_a_bundle_keeps(
    embedding: SequenceEmbedding,
) -> None:
    with embedding.serving_form() as reader:

        @tf.function
        def served() -> tuple[tf.Tensor, tf.Tensor]:
            return embedding(IDS), embedding.item_logits(STATES)

        kept = list(served.get_concrete_function().graph.variables)
        if isinstance(reader, tf.Module):
            kept += reader.variables  # read where the floats are made
        positions = embedding.position_table.value
        num_bytes = sum(v.numpy().nbytes for v in kept if v is not positions)
    assert embedding.item_table.served_bytes == num_bytes


def test_a_given_table_is_taken_over(embedding: SequenceEmbedding) -> None:
    given = random_table()
    before = np.abs(embedding.item_table.matrix() - given).mean()
    embedding.item_table.set_table(given)
    matrix = embedding.item_table.matrix().numpy()
    assert np.abs(matrix - given).mean() < 0.6 * before
    embedding.item_table.set_table(given)  # no part of it is by chance
    np.testing.assert_array_equal(embedding.item_table.matrix(), matrix)


def test_a_table_of_another_shape_is_refused(embedding: SequenceEmbedding) -> None:
    with pytest.raises(ValueError, match=r"shape \(15, 8\). Received: \(14, 8\)"):
        embedding.item_table.set_table(random_table()[1:])


def test_a_grown_table_has_the_old_rows_and_fresh_ones(embedding: SequenceEmbedding) -> None:
    embedding.item_table.set_table(random_table())
    format_name = embedding.table_format
    grown, fresh = (table_of(format_name, NUM_ITEMS + 4) for _ in range(2))
    grown.item_table.grow_from(embedding.item_table)
    old, new = embedding.item_table.matrix().numpy(), grown.item_table.matrix().numpy()
    np.testing.assert_array_equal(new[: NUM_ITEMS + 1], old[:-1])
    np.testing.assert_array_equal(new[-1], old[-1])  # the mask's, which has another id
    made, untouched = (np.asarray(table.item_table.variable) for table in (grown, fresh))
    rows = slice(NUM_ITEMS + 1, NUM_ITEMS + 5)
    np.testing.assert_array_equal(made[rows], untouched[rows])
    np.testing.assert_allclose(
        grown.item_logits(STATES)[:, :NUM_ITEMS],
        embedding.item_logits(STATES),
        rtol=1e-5,
        atol=1e-6,
    )
    with pytest.raises(ValueError, match="no more items"):
        embedding.item_table.grow_from(grown.item_table)


def test_a_format_that_there_is_not_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"one of float32, int8, int4\. Received: 'int2'"):
        table_of("int2")


def test_a_table_of_another_format_does_not_grow_into_this(embedding: SequenceEmbedding) -> None:
    other = table_of("float32" if embedding.table_format != "float32" else "int8")
    with pytest.raises(ValueError, match="of its format"):
        embedding.item_table.grow_from(other.item_table)


@pytest.mark.parametrize(
    "loss",
    [
        lambda e: sampled_softmax_loss(e, STATES, LABELS, NEGATIVES, tf.ones([NUM_ITEMS])),
        lambda e: gbce_loss(e, STATES, LABELS, NEGATIVES),
        lambda e: e(IDS),
    ],
)
def test_what_needs_some_rows_never_reads_the_whole_table(
    embedding: SequenceEmbedding, loss: Callable[[SequenceEmbedding], tf.Tensor]
) -> None:
    # A million items would be copied in each step, once an optimizer has updated some rows.
    function = tf.function(lambda: loss(embedding)).get_concrete_function()
    table = embedding.item_table.variable.value.handle
    [placeholder] = [inner for outer, inner in function.graph.captures if outer is table]
    assert {op.type for op in placeholder.consumers()} == {"ResourceGather"}
