import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.search.alphas import OPERATIONS
from adarec_tf.search.cost import (
    EncoderCost,
    PrimitiveCost,
    expected_cost,
    measure_costs,
    measure_encoder,
    relative_costs,
)
from adarec_tf.teacher_config import NextItNetConfig
from adarec_tf.teachers import build_teacher


def test_measured_parameters_and_macs_by_hand() -> None:
    costs = measure_costs(hidden_dim=4, max_length=6)
    assert set(costs) == set(OPERATIONS)
    # Kernel and bias of the convolution, scale and offset of the norm.
    assert costs["conv_3"].parameters == 3 * 4 * 4 + 4 + 2 * 4
    assert costs["conv_3"].macs == 6 * 3 * 4 * 4
    assert costs["dilated_4_conv_5"].macs == 6 * 5 * 4 * 4
    for name in ("max_pool_3", "average_pool_3", "skip", "none"):
        assert (costs[name].parameters, costs[name].macs) == (0, 0)
    assert all(cost.latency_ms > 0 for cost in costs.values())


def test_teacher_is_measured_without_its_tables() -> None:
    config = NextItNetConfig(hidden_dim=4, num_blocks=2, kernel_size=3, dilations=(1, 4))
    cost = measure_encoder(build_teacher(config, 11, 6, seed=1), 6)
    convolution = 3 * 4 * 4 + 4 + 2 * 4
    assert cost.parameters == 2 * (2 * convolution + 1) + 2 * 4
    assert cost.macs == 2 * 2 * 6 * 3 * 4 * 4


def test_prices_are_shares_of_the_teacher() -> None:
    costs = {name: PrimitiveCost(10, 100, 0.5) for name in OPERATIONS}
    prices = relative_costs(costs, EncoderCost(100, 1000, 2.0), num_cells=3, latency_share=0.5)
    np.testing.assert_allclose(prices, 3 * (0.25 * 0.1 + 0.25 * 0.1 + 0.5 * 0.25))


def test_expected_cost_by_hand_and_its_direction() -> None:
    prices = tf.constant([1.0, *[0.0] * (len(OPERATIONS) - 1)])
    alphas = tf.Variable(tf.zeros([2, len(OPERATIONS)]))
    with tf.GradientTape() as tape:
        cost = expected_cost(alphas, prices)
    gradient = tape.gradient(cost, alphas).numpy()
    assert float(cost) == pytest.approx(2 / len(OPERATIONS))
    assert np.all(gradient[:, 0] > 0)
    assert np.all(gradient[:, 1:] < 0)
