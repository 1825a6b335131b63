import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.models.optimizer import ClippedAdamW, build_optimizer


def test_rows_looked_up_often_are_clipped_as_what_they_add_up_to() -> None:
    table = keras.Variable(np.zeros((2, 1), np.float32))
    # One step of Adam with these rates moves by the gradient's share of its own size.
    optimizer = ClippedAdamW(1.0, beta_1=0.0, beta_2=0.0, epsilon=10.0, global_clipnorm=5.0)
    optimizer.build([table])
    gradient = tf.IndexedSlices(tf.fill([4, 1], 2.0), tf.zeros([4], tf.int64), tf.constant([2, 1]))
    optimizer.apply([gradient], [table])
    np.testing.assert_allclose(table, [[-5.0 / 15.0], [0.0]], rtol=1e-2)


@pytest.mark.parametrize("warmup_share", [0.0, 0.2])
def test_rate_rises_to_its_peak_then_falls_to_zero(warmup_share: float) -> None:
    optimizer = build_optimizer(
        [keras.Variable(np.zeros((2, 2), np.float32))],
        learning_rate=0.5,
        num_steps=100,
        warmup_share=warmup_share,
    )
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
    optimizer = build_optimizer(
        variables, learning_rate=0.1, num_steps=300, weight_decay=0.5, warmup_share=0.0
    )
    optimizer.apply([tf.zeros(v.shape) for v in variables], variables)
    decayed = {v.name: bool(np.any(np.array(v) < 1)) for v in variables}
    assert decayed == {"kernel": True, "bias": False, "norm_scales": False, "biases": False}


def test_updates_as_keras_does() -> None:
    random = np.random.default_rng(0)
    gradients = random.normal(size=(5, 3, 2)).astype(np.float32)
    weights = []
    for kind in (keras.optimizers.AdamW, ClippedAdamW):
        variable = keras.Variable(np.ones((3, 2), np.float32))
        optimizer = kind(0.1, weight_decay=0.01, global_clipnorm=2.0)
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [variable])
        weights.append(np.array(variable))
    np.testing.assert_allclose(*weights, rtol=1e-5)
    assert np.abs(weights[0] - 1).min() > 1e-3


def test_rows_are_updated_as_without_momentum_whichever_steps_read_them() -> None:
    random = np.random.default_rng(0)
    read = [[0, 2], [2, 2, 1], [0], [3, 0, 1], [2]]
    tables = []
    for is_sparse in (False, True):
        table = keras.Variable(np.ones((5, 2), np.float32))
        optimizer = ClippedAdamW(0.1, beta_1=0.0, weight_decay=0.01, global_clipnorm=2.0)
        optimizer.build([table])
        random = np.random.default_rng(0)
        for rows in read:
            values = tf.constant(random.normal(size=(len(rows), 2)), tf.float32)
            slices = tf.IndexedSlices(values, tf.constant(rows), tf.constant([5, 2]))
            optimizer.apply([slices if is_sparse else tf.convert_to_tensor(slices)], [table])
        tables.append(np.array(table))
    dense, sparse = tables
    # Only the decay of the steps since a row was read last is outstanding; row 4 never was.
    outstanding = np.array([1, 1, 0, 1, 5])[:, np.newaxis]
    np.testing.assert_allclose(sparse * (1 - 0.1 * 0.01) ** outstanding, dense, rtol=1e-5)
    assert np.abs(dense[:4] - 1).min() > 1e-2
