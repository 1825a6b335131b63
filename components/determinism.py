"""Equal results from equal seeds, for the stages that train."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.framework import config as framework_config


@contextlib.contextmanager
def deterministic_operations() -> Iterator[None]:
    """TensorFlow's deterministic kernels for a block, and no longer.

    They are slower or missing for operations that later stages of the same process use, and
    TensorFlow has no public way to switch them off again.
    """
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        framework_config.disable_op_determinism()
