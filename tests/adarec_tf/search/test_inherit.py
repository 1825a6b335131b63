import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config import StudentConfig
from adarec_tf.search.alphas import OPERATIONS, fixed_edges, genotype_of
from adarec_tf.search.inherit import inherit_weights
from adarec_tf.search.supernet import Supernet
from adarec_tf.students import build_student

NUM_ITEMS, LENGTH, NUM_EDGES = 16, 20, 3
CONFIG = StudentConfig(hidden_dim=6, num_cells=2, num_nodes=2, dropout=0.0)
ITEM_IDS = tf.constant(
    np.pad(np.random.default_rng(0).integers(1, NUM_ITEMS + 1, (3, 17)), [(0, 0), (3, 0)])
)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    keras.utils.set_random_seed(4)
    result = Supernet(CONFIG, NUM_ITEMS, LENGTH)
    result(ITEM_IDS, fixed_edges([0] * NUM_EDGES))
    generator = np.random.default_rng(1)
    for variable in result.trainable_variables:  # biases and norms away from 0 and 1
        variable.assign_add(generator.normal(0, 0.1, variable.shape))
    return result


@pytest.mark.parametrize(
    "operations",
    [*([index] * NUM_EDGES for index in range(len(OPERATIONS))), [3, 6, 8], [9, 1, 7], [5, 8, 2]],
)
def test_a_derived_student_with_inherited_weights_answers_as_the_supernet(
    supernet: Supernet, operations: list[int]
) -> None:
    genotype = genotype_of(operations, num_nodes=2, num_cells=2)
    student = build_student(genotype, CONFIG, NUM_ITEMS, LENGTH, seed=1)
    inherit_weights(student, supernet)
    expected = supernet(ITEM_IDS, fixed_edges(operations))
    outputs = student(ITEM_IDS)
    for ours, theirs in zip(outputs.hidden_states, expected.hidden_states, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs.final_states, expected.final_states, rtol=1e-4, atol=1e-5)
