import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.distillation.initial_table import initialize_table, narrowed_items
from adarec_tf.models.sequence_model import SequenceEmbedding

NUM_ITEMS = 30


def _embedding(hidden_dim: int, table_format: str = "float32") -> SequenceEmbedding:
    embedding = SequenceEmbedding(
        NUM_ITEMS,
        hidden_dim,
        8,
        has_mask=True,
        item_table=table_format,
    )
    embedding.build((None, None))
    return embedding


def test_a_narrower_table_keeps_the_scores_as_well_as_its_rank_can() -> None:
    items = np.random.default_rng(0).normal(size=(NUM_ITEMS, 6)).astype(np.float32)
    left, lengths, right = np.linalg.svd(items)
    for rank in (1, 3, 5):
        best = (left[:, :rank] * lengths[:rank]) @ right[:rank]
        columns = narrowed_items(items, rank)
        assert columns.shape == (NUM_ITEMS, rank)
        np.testing.assert_allclose(columns @ columns.T, best @ best.T, atol=1e-4)
    np.testing.assert_array_equal(narrowed_items(items, 6), items)


def test_the_columns_of_a_narrower_table_are_alike() -> None:
    generator = np.random.default_rng(0)
    items = generator.normal(size=(500, 16)) * 2.0 ** -np.arange(16)
    lengths = np.linalg.norm(narrowed_items(items.astype(np.float32), 8), axis=0)
    # The directions themselves are of lengths 1 to 1/128.
    assert lengths.max() / lengths.min() < 16


def test_a_table_of_the_same_width_is_the_teachers() -> None:
    teacher, student = _embedding(6), _embedding(6)
    own = student.item_table.matrix().numpy()
    initialize_table(student, teacher)
    np.testing.assert_array_equal(student.item_vectors(), teacher.item_vectors())
    # PAD and mask are no items.
    table = student.item_table.matrix().numpy()
    np.testing.assert_array_equal(table[[0, -1]], own[[0, -1]])


def test_a_wider_table_keeps_the_columns_the_teacher_has_not() -> None:
    teacher, student = _embedding(4), _embedding(6)
    own = student.item_vectors().numpy()
    initialize_table(student, teacher)
    np.testing.assert_array_equal(student.item_vectors()[:, :4], teacher.item_vectors())
    np.testing.assert_array_equal(student.item_vectors()[:, 4:], own[:, 4:])


@pytest.mark.parametrize("table_format", ["int8", "int4"])
def test_every_format_comes_nearer_to_the_teacher(table_format: str) -> None:
    teacher, student = _embedding(4), _embedding(4, table_format)

    def distance() -> float:
        return float(tf.norm(student.item_vectors() - teacher.item_vectors()))

    before = distance()
    initialize_table(student, teacher)
    assert distance() < 0.8 * before
