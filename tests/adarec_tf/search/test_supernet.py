import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.item_table_config import ItemTableConfig
from adarec_tf.search.alphas import SampledEdges, fixed_edges
from adarec_tf.search.supernet import Supernet
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


def test_it_has_the_item_table_of_the_student() -> None:
    table = ItemTableConfig(format="product_codes", num_codes=3, codebook_size=7)
    config = dataclasses.replace(CONFIG, item_table=table)
    assert Supernet(config, NUM_ITEMS, LENGTH).sequence_embedding.item_table.config == table


def test_no_two_operations_start_alike(supernet: Supernet) -> None:
    keras.utils.set_random_seed(4)
    fresh = Supernet(CONFIG, NUM_ITEMS, LENGTH)
    fresh(ITEM_IDS, fixed_edges([0] * NUM_EDGES))
    kernels = np.concatenate([np.array(e.kernels) for cell in fresh.cells for e in cell.edges])
    newest_taps = {kernel[-1].tobytes() for kernel in kernels}
    assert len(newest_taps) == len(kernels)
