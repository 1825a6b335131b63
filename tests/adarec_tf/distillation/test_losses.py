import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.distillation.losses import embedding_loss, logits_loss
from tests.references.transport import mean_kl


def test_logits_loss_is_kl_at_temperature_one() -> None:
    generator = np.random.default_rng(0)
    student, teacher = generator.normal(size=(2, 6, 9)).astype(np.float32)
    loss = logits_loss(tf.constant(student), tf.constant(teacher), 1.0)
    assert float(loss) == pytest.approx(mean_kl(student, teacher), rel=1e-4)


def test_logits_loss_does_not_grow_with_the_number_of_positions() -> None:
    student, teacher = tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 2.0]])
    once = logits_loss(student, teacher, 2.0)
    often = logits_loss(tf.tile(student, [7, 1]), tf.tile(teacher, [7, 1]), 2.0)
    assert float(often) == pytest.approx(float(once), rel=1e-6)
    assert float(once) > 0.1


def test_logits_gradient_keeps_its_size_over_temperatures() -> None:
    student = tf.Variable([[0.01, -0.02, 0.0]])
    teacher = tf.constant([[0.02, 0.01, -0.01]])
    norms = []
    for kd_temperature in (1.0, 4.0):
        with tf.GradientTape() as tape:
            loss = logits_loss(student, teacher, kd_temperature)
        norms.append(float(tf.norm(tape.gradient(loss, student))))
    assert norms[1] == pytest.approx(norms[0], rel=0.05)


def test_embedding_loss_by_hand() -> None:
    loss = embedding_loss(tf.constant([[1.0, 2.0]]), tf.constant([[0.0, 4.0]]))
    assert float(loss) == pytest.approx(2.5)
