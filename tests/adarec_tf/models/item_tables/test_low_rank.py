import numpy as np

from tests.adarec_tf.models.item_tables.test_table import random_table, table_of


def test_a_given_table_becomes_the_closest_one_of_its_rank() -> None:
    table, given = table_of("low_rank").item_table, random_table()
    table.set_table(given)
    matrix = table.matrix().numpy()
    singular_values = np.linalg.svd(given.astype(np.float64), compute_uv=False)
    assert np.linalg.matrix_rank(matrix, tol=1e-4) == 3
    np.testing.assert_allclose(
        np.square(matrix - given).sum(), np.square(singular_values[3:]).sum(), rtol=1e-5
    )


def test_a_table_of_its_rank_is_kept() -> None:
    table = table_of("low_rank").item_table
    given = random_table()[:, :3] @ random_table()[:3]
    table.set_table(given)
    np.testing.assert_allclose(table.matrix(), given, rtol=1e-4, atol=1e-4)
