"""The supernet that the tests of the search look into."""

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.search.space.alphas import fixed_architecture
from adarec_tf.search.space.supernet import Supernet

NUM_ITEMS, LENGTH, NUM_EDGES = 16, 20, 3
CONFIG = StudentConfig(hidden_dim=6, num_cells=2, num_nodes=2, dropout=0.0)
ITEM_IDS = tf.constant(
    np.pad(np.random.default_rng(0).integers(1, NUM_ITEMS + 1, (3, 17)), [(0, 0), (3, 0)])
)


def small_supernet(num_optional: int = 0, config: StudentConfig = CONFIG) -> Supernet:
    """A supernet no weight of which is where it was initialized."""
    keras.utils.set_random_seed(4)
    result = Supernet(config, NUM_ITEMS, LENGTH, num_optional=num_optional)
    result(ITEM_IDS, fixed_architecture([0] * NUM_EDGES))
    generator = np.random.default_rng(1)
    for variable in result.trainable_variables:  # biases and norms away from 0 and 1
        variable.assign_add(generator.normal(0, 0.1, variable.shape))
    return result
