import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.students.cost_table import Cost
from adarec_tf.search.cost.cost import Prices, expected_cost, relative_costs
from adarec_tf.search.space.alphas import OPERATIONS
from adarec_tf.search.space.depth import ExpectedStudent
from tests.adarec_tf.search.hand_made_costs import COUNTED, cost_table


def test_prices_are_shares_of_the_teachers_encoder() -> None:
    table = cost_table(teacher_encoder=Cost(200, 10_000, 800, 2.0))
    prices = relative_costs(table, num_alike=3)
    conv_5 = OPERATIONS.index("conv_5")
    assert prices.operations[conv_5] == pytest.approx(3 * (0.5 * 50 / 200 + 0.5 * 500 / 10_000))
    assert prices.cell == pytest.approx(0.5 * 6 / 200)
    counted = relative_costs(COUNTED, num_alike=3)
    np.testing.assert_array_equal(counted.operations, prices.operations)


def test_expected_cost_by_hand_and_its_direction() -> None:
    prices = Prices(np.eye(1, len(OPERATIONS), dtype=np.float32)[0])
    alphas = tf.Variable(tf.zeros([2, len(OPERATIONS)]))
    with tf.GradientTape() as tape:
        total = expected_cost(ExpectedStudent(tf.nn.softmax(alphas)), prices)
    gradient = tape.gradient(total, alphas).numpy()
    assert float(total) == pytest.approx(2 / len(OPERATIONS))
    assert np.all(gradient[:, 0] > 0)
    assert np.all(gradient[:, 1:] < 0)


def test_a_cell_that_is_left_out_saves_its_price() -> None:
    prices = Prices(np.linspace(0.1, 0.3, len(OPERATIONS)).astype(np.float32), cell=0.25)
    shares = np.zeros((2, len(OPERATIONS)), np.float32)
    shares[0, 0], shares[1, -1] = 1.0, 0.5
    total = expected_cost(ExpectedStudent(tf.constant(shares), tf.constant(1.5)), prices)
    assert float(total) == pytest.approx(0.1 + 0.5 * 0.3 - 1.5 * 0.25)
