import numpy as np

from tests.adarec_tf.models.item_tables.test_table import random_table, table_of
from tests.references.item_tables import coded_row


def test_rows_are_put_together_as_one_would_by_hand() -> None:
    table = table_of("product_codes").item_table
    codes, codebooks = np.array(table.codes).tolist(), np.array(table.codebooks).tolist()
    expected = [coded_row(row, codebooks) for row in codes]
    np.testing.assert_array_equal(table.matrix(), np.array(expected, np.float32))


def test_first_codes_are_used_equally_often() -> None:
    table = table_of("product_codes", 100).item_table  # 102 rows, six codes
    for of_subspace in np.array(table.codes).T:
        assert np.bincount(of_subspace, minlength=6).tolist() == [17] * 6


def test_codes_are_not_trained_but_are_weights() -> None:
    embedding = table_of("product_codes")
    codes = embedding.item_table.codes
    assert codes.dtype == "uint8"
    assert any(v is codes for v in embedding.weights)
    assert not any(v is codes for v in embedding.trainable_variables)


def test_rows_get_the_nearest_vectors_of_the_codebooks() -> None:
    table, given = table_of("product_codes", 100).item_table, random_table(102)
    table.set_table(given)
    codebooks = np.array(table.codebooks)
    for subspace, part in enumerate(np.split(given, 4, axis=1)):
        distances = np.square(part[:, np.newaxis] - codebooks[subspace]).sum(axis=-1)
        np.testing.assert_array_equal(np.array(table.codes)[:, subspace], distances.argmin(axis=1))


def test_clusters_are_found() -> None:
    generator = np.random.default_rng(1)
    centres = 10.0 * np.arange(3)[:, np.newaxis] * np.ones(8)
    given = centres[generator.integers(0, 3, 102)] + generator.normal(0, 0.1, (102, 8))
    table = table_of("product_codes", 100).item_table
    table.set_table(given)
    assert np.abs(table.matrix() - given).max() < 0.6


def test_a_table_of_no_more_rows_than_a_codebook_is_kept() -> None:
    table, given = table_of("product_codes", 4).item_table, random_table(6)
    table.set_table(given)
    np.testing.assert_array_equal(table.matrix(), given)
