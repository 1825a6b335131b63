import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.sequence_model import SequenceOutputs
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.space.alphas import architecture_of, fixed_architecture
from adarec_tf.search.space.supernet import Supernet
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


def test_only_the_drawn_convolution_is_trained(supernet: Supernet) -> None:
    edge = supernet.cells[0].edges[1]
    with tf.GradientTape() as tape:
        outputs = supernet(ITEM_IDS, fixed_architecture([8, 2, 8]))
        loss = tf.reduce_sum(tf.square(outputs.hidden_states[0] - 1.0))
    gradient = tf.convert_to_tensor(tape.gradient(loss, edge.kernels.value)).numpy()
    touched = np.abs(gradient).sum(axis=(2, 3)) > 0
    assert np.all(touched[2, -3:])
    assert touched.sum() == 3


def test_it_has_the_item_table_of_the_student() -> None:
    config = CONFIG.replace(precision="int8")
    assert Supernet(config, NUM_ITEMS, LENGTH).sequence_embedding.table_format == "int8"


def test_no_two_operations_start_alike(supernet: Supernet) -> None:
    keras.utils.set_random_seed(4)
    fresh = Supernet(CONFIG, NUM_ITEMS, LENGTH)
    fresh(ITEM_IDS, fixed_architecture([0] * NUM_EDGES))
    kernels = np.concatenate([np.array(e.kernels) for cell in fresh.cells for e in cell.edges])
    newest_taps = {kernel[-1].tobytes() for kernel in kernels}
    assert len(newest_taps) == len(kernels)


def test_edges_of_every_cell_or_of_one_for_all(supernet: Supernet) -> None:
    shared, repeated, other = (
        supernet(ITEM_IDS, fixed_architecture(operations)).hidden_states
        for operations in ([0, 3, 6], [0, 3, 6, 0, 3, 6], [0, 3, 6, 0, 3, 1])
    )
    for ours, theirs in zip(shared, repeated, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(shared[0], other[0])
    assert np.any(np.not_equal(shared[1], other[1]))


@pytest.mark.parametrize(
    "cells", [["conv_3", "skip", "dilated_2_conv_3"], ["none", "max_pool_3", "none"]]
)
def test_the_last_state_needs_what_its_genotype_has_in_view(
    supernet: Supernet, cells: list[str]
) -> None:
    genotype = Genotype.from_primitives(2, [cells, ["skip", "conv_3", "average_pool_3"]])
    architecture = architecture_of(genotype, num_cells=2)
    whole = supernet(ITEM_IDS, architecture).final_states[:, -1]
    in_view = genotype.receptive_field
    of_view, of_less = (
        supernet.last_states(ITEM_IDS, architecture, tf.constant(num))
        for num in (in_view, in_view - 1)
    )
    np.testing.assert_allclose(of_view, whole, atol=1e-5)
    assert np.max(np.abs(of_less - whole)) > 1e-3


@pytest.mark.slow
def test_a_cell_that_is_left_out_hands_on_what_it_is_given_and_is_not_trained() -> None:
    """Compiled, as the steps are, with the choice of depth made when it runs."""
    supernet = small_supernet(num_optional=1)

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def run(num_absent: tf.Tensor) -> tuple[SequenceOutputs, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            drawn = fixed_architecture([0, 3, 6, 2, 7, 1])._replace(num_absent=num_absent)
            outputs = supernet(ITEM_IDS, drawn)
            loss = tf.reduce_sum(tf.square(outputs.final_states - 1.0))
        weights = [v.value for v in supernet.cells[1].trainable_variables]
        gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return outputs, [tf.convert_to_tensor(gradient) for gradient in gradients]

    whole, gradients = run(tf.constant(0))
    plain = small_supernet()(ITEM_IDS, fixed_architecture([0, 3, 6, 2, 7, 1]))
    np.testing.assert_allclose(whole.final_states, plain.final_states, atol=1e-6)
    assert any(np.any(gradient != 0) for gradient in gradients)
    shallow, gradients = run(tf.constant(1))
    np.testing.assert_array_equal(shallow.hidden_states[1], shallow.hidden_states[0])
    np.testing.assert_allclose(shallow.hidden_states[0], plain.hidden_states[0], atol=1e-6)
    assert all(np.all(gradient == 0) for gradient in gradients)
