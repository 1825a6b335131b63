import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config import TrainingConfig
from adarec_tf.training_loop import apply_gradients, build_optimizer


def test_rows_looked_up_often_are_clipped_as_what_they_add_up_to() -> None:
    table = keras.Variable(np.zeros((2, 1), np.float32))
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=5.0)
    optimizer.build([table])
    gradient = tf.IndexedSlices(tf.fill([4, 1], 2.0), tf.zeros([4], tf.int64), tf.constant([2, 1]))
    apply_gradients(optimizer, [gradient], [table])
    np.testing.assert_allclose(table, [[-5.0], [0.0]], rtol=1e-6)


@pytest.mark.parametrize("warmup_share", [0.0, 0.2])
def test_rate_rises_to_its_peak_then_falls_to_zero(warmup_share: float) -> None:
    config = TrainingConfig(max_epochs=10, learning_rate=0.5, warmup_share=warmup_share)
    optimizer = build_optimizer(config, 10, [keras.Variable(np.zeros((2, 2), np.float32))])
    schedule = optimizer._learning_rate
    rates = [float(schedule(tf.constant(step))) for step in range(101)]
    assert rates[0] > 0
    peak = int(np.argmax(rates))
    assert peak == pytest.approx(100 * warmup_share, abs=1)
    assert max(rates) == pytest.approx(0.5, rel=1e-3)
    assert rates[100] == pytest.approx(0.0, abs=1e-6)


def test_biases_and_norms_are_not_decayed() -> None:
    shapes = {"kernel": (2, 2), "bias": (2,), "norm_scales": (3, 2), "biases": (3, 2)}
    variables = [
        keras.Variable(np.ones(shape, np.float32), name=name) for name, shape in shapes.items()
    ]
    config = TrainingConfig(weight_decay=0.5, learning_rate=0.1, warmup_share=0.0)
    optimizer = build_optimizer(config, 10, variables)
    apply_gradients(optimizer, [tf.zeros(v.shape) for v in variables], variables)
    decayed = {v.name: bool(np.any(np.array(v) < 1)) for v in variables}
    assert decayed == {"kernel": True, "bias": False, "norm_scales": False, "biases": False}
