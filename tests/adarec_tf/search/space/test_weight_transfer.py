import numpy as np
import pytest

from adarec_tf.models.students import build_student
from adarec_tf.search.space.alphas import (
    OPERATIONS,
    architecture_of,
    fixed_architecture,
    genotype_of,
)
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.search.space.weight_transfer import transfer_weights
from tests.adarec_tf.search.small_supernet import (
    CONFIG,
    ITEM_IDS,
    LENGTH,
    NUM_EDGES,
    NUM_ITEMS,
    small_supernet,
)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return small_supernet()


@pytest.mark.parametrize(
    "operations",
    [
        *([index] * NUM_EDGES for index in range(len(OPERATIONS))),
        [3, 6, 8],
        [9, 1, 7],
        [5, 8, 2, 9, 1, 4],
    ],
)
def test_a_derived_student_with_inherited_weights_answers_as_the_supernet(
    supernet: Supernet, operations: list[int]
) -> None:
    genotype = genotype_of(operations, num_nodes=2, num_cells=2)
    student = build_student(genotype, CONFIG, NUM_ITEMS, LENGTH, seed=1)
    transfer_weights(student, supernet)
    expected = supernet(ITEM_IDS, fixed_architecture(operations))
    outputs = student(ITEM_IDS)
    for ours, theirs in zip(outputs.hidden_states, expected.hidden_states, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs.final_states, expected.final_states, rtol=1e-4, atol=1e-5)


def test_a_student_of_fewer_cells_has_the_lowest_ones() -> None:
    supernet = small_supernet(num_optional=1)
    genotype = genotype_of([3, 6, 8], num_nodes=2, num_cells=1)
    student = build_student(genotype, CONFIG, NUM_ITEMS, LENGTH, seed=1)
    transfer_weights(student, supernet)
    expected = supernet(ITEM_IDS, architecture_of(genotype, num_cells=2))
    outputs = student(ITEM_IDS)
    assert len(outputs.hidden_states) == 1
    np.testing.assert_allclose(outputs.final_states, expected.final_states, rtol=1e-4, atol=1e-5)
