import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config import StudentConfig
from adarec_tf.search import supernet as supernet_module
from adarec_tf.search.alphas import OPERATIONS, SampledEdges, fixed_edges, genotype_of
from adarec_tf.search.supernet import Supernet
from adarec_tf.students import Student, build_student
from adarec_tf.students.primitives import PRIMITIVES

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


def _inherit_weights(student: Student, supernet: Supernet) -> None:
    """Gives a derived student the weights its operations had in the supernet.

    Args:
      student: a built student whose width, cells and nodes are the supernet's; it is changed.
      supernet: where the weights come from.
    """
    _copy_weights(supernet.sequence_embedding, student.sequence_embedding)
    _copy_weights(supernet.final_norm, student.final_norm)
    for search_cell, cell in zip(supernet.cells, student.cells, strict=True):
        _copy_weights(search_cell.combine, cell.combine)
        for edge, operation in zip(cell.edges, cell.operations, strict=True):
            if edge.primitive not in supernet_module._CONVOLUTIONS:
                continue
            mixed = search_cell.edges[search_cell.ends.index((edge.source, edge.target))]
            index = supernet_module._CONVOLUTIONS.index(edge.primitive)
            num_unused = supernet_module._NUM_TAPS - PRIMITIVES[edge.primitive].kernel_size
            operation.convolution.kernel.assign(mixed.kernels[index][num_unused:])
            operation.convolution.bias.assign(mixed.biases[index])
            operation.norm.gamma.assign(mixed.norm_scales[index])
            operation.norm.beta.assign(mixed.norm_offsets[index])


def _copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    for old, new in zip(source.weights, target.weights, strict=True):
        new.assign(old)


@pytest.mark.parametrize(
    "operations",
    [*([index] * NUM_EDGES for index in range(len(OPERATIONS))), [3, 6, 8], [9, 1, 7], [5, 8, 2]],
)
def test_a_derived_student_with_inherited_weights_answers_as_the_supernet(
    supernet: Supernet, operations: list[int]
) -> None:
    genotype = genotype_of(operations, num_nodes=2, num_cells=2)
    student = build_student(genotype, CONFIG, NUM_ITEMS, LENGTH, seed=1)
    _inherit_weights(student, supernet)
    expected = supernet(ITEM_IDS, fixed_edges(operations))
    outputs = student(ITEM_IDS)
    for ours, theirs in zip(outputs.hidden_states, expected.hidden_states, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs.final_states, expected.final_states, rtol=1e-4, atol=1e-5)


def test_only_the_drawn_convolution_is_trained(supernet: Supernet) -> None:
    edge = supernet.cells[0].edges[1]
    with tf.GradientTape() as tape:
        outputs = supernet(ITEM_IDS, fixed_edges([8, 2, 8]))
        loss = tf.reduce_sum(tf.square(outputs.hidden_states[0] - 1.0))
    gradient = tf.convert_to_tensor(tape.gradient(loss, edge.kernels.value)).numpy()
    touched = np.abs(gradient).sum(axis=(2, 3)) > 0
    assert np.all(touched[2, -3:])
    assert touched.sum() == 3


def test_a_gate_scales_its_edge(supernet: Supernet) -> None:
    operations = tf.constant([8, 9, 9])
    gates = [tf.constant([gate, 1.0, 1.0]) for gate in (1.0, 0.0)]
    on, off = (supernet(ITEM_IDS, SampledEdges(operations, gate)) for gate in gates)
    nothing = supernet(ITEM_IDS, fixed_edges([9, 9, 9]))
    assert np.any(on.hidden_states[0] != off.hidden_states[0])
    np.testing.assert_allclose(off.hidden_states[0], nothing.hidden_states[0], atol=1e-6)


def test_no_two_operations_start_alike(supernet: Supernet) -> None:
    keras.utils.set_random_seed(4)
    fresh = Supernet(CONFIG, NUM_ITEMS, LENGTH)
    fresh(ITEM_IDS, fixed_edges([0] * NUM_EDGES))
    kernels = np.concatenate([np.array(e.kernels) for cell in fresh.cells for e in cell.edges])
    newest_taps = {kernel[-1].tobytes() for kernel in kernels}
    assert len(newest_taps) == len(kernels)
