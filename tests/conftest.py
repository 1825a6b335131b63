"""Shared fixtures: legacy Keras for tensorflow-recommenders, few threads, fixed seeds."""

import adarec_tf  # noqa: F401  (selects the Keras generation before TensorFlow is imported)

# isort: split
from pathlib import Path

import keras
import pytest
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(2)
tf.config.threading.set_inter_op_parallelism_threads(1)  # as runs have it, see local_runner.py


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    keras.utils.set_random_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several processes, one gets all tests that share what is made once a session.

    The others go by their files. The pipeline's runs come first: they take longest.
    """
    if not hasattr(config, "workerinput"):
        return
    root = Path(__file__).parent
    shared = [path.parent for path in root.glob("*/conftest.py")]
    runs = root / "e2e"
    items.sort(key=lambda item: runs not in item.path.parents)
    for item in items:
        group = next((folder for folder in shared if folder in item.path.parents), item.path)
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(root))))
