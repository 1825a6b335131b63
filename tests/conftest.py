"""Shared fixtures: legacy Keras for tensorflow-recommenders, few threads, fixed seeds."""

import adarec_tf  # noqa: F401  (selects the Keras generation before TensorFlow is imported)

# isort: split
import keras
import pytest
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.threading.set_inter_op_parallelism_threads(1)  # as runs have it, see local_runner.py


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    keras.utils.set_random_seed(0)
