import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.students.cost_table import Cost
from adarec_tf.search.cost.cost import Prices, expected_cost, relative_costs
from adarec_tf.search.space.alphas import OPERATIONS
from adarec_tf.search.space.depth import ExpectedStudent
from tests.adarec_tf.search.hand_made_costs import cost_table


def test_prices_are_shares_of_the_teachers_encoder() -> None:
    table = cost_table(
        operations=dict.fromkeys(OPERATIONS, Cost(10, 100, 40, 0.5)),
        teacher_encoder=Cost(100, 1000, 400, 2.0),
    )
    prices = relative_costs(table, num_cells=3, latency_share=0.5)
    np.testing.assert_allclose(prices.operations, 3 * (0.25 * 0.1 + 0.25 * 0.1 + 0.5 * 0.25))


def test_prices_without_latency_need_none() -> None:
    counted = cost_table(teacher_encoder=Cost(200, 10_000, 800))
    prices = relative_costs(counted, num_cells=2, latency_share=0.0)
    conv_5 = OPERATIONS.index("conv_5")
    assert prices.operations[conv_5] == pytest.approx(2 * (0.5 * 50 / 200 + 0.5 * 500 / 10_000))


def test_expected_cost_by_hand_and_its_direction() -> None:
    prices = Prices(np.eye(1, len(OPERATIONS), dtype=np.float32)[0])
    alphas = tf.Variable(tf.zeros([2, len(OPERATIONS)]))
    with tf.GradientTape() as tape:
        total = expected_cost(ExpectedStudent(tf.nn.softmax(alphas)), prices)
    gradient = tape.gradient(total, alphas).numpy()
    assert float(total) == pytest.approx(2 / len(OPERATIONS))
    assert np.all(gradient[:, 0] > 0)
    assert np.all(gradient[:, 1:] < 0)
