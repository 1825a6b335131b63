import keras
import numpy as np

from tests.adarec_tf.models.item_tables.test_table import random_table, table_of


def test_a_given_table_is_kept_exactly() -> None:
    table = table_of("float32").item_table
    table.set_table(random_table())
    np.testing.assert_array_equal(table.matrix(), random_table())


def test_a_seed_gives_what_it_gave_before_there_were_formats() -> None:
    embedding = table_of("float32")
    keras.utils.set_random_seed(3)
    alone = keras.initializers.RandomNormal(stddev=8**-0.5)((15, 8))
    np.testing.assert_array_equal(embedding.item_table.matrix(), alone)
    # The order in which models saved their weights.
    assert [v.name for v in embedding.weights][:2] == ["item_table", "position_table"]
