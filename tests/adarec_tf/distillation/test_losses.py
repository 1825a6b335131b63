import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.distillation.losses import Scores, embedding_loss, logits_losses
from tests.references.transport import mean_kl

NUM_POSITIONS, NUM_ITEMS = 6, 9


def _scores(dim: int, seed: int) -> Scores:
    generator = np.random.default_rng(seed)
    return Scores(
        tf.Variable(generator.normal(size=(NUM_POSITIONS, dim)).astype(np.float32)),
        tf.Variable(generator.normal(size=(NUM_ITEMS, dim)).astype(np.float32)),
    )


def _logits(scores: Scores) -> np.ndarray:
    return scores.states.numpy() @ scores.items.numpy().T


STUDENT, TEACHER = _scores(3, seed=0), _scores(5, seed=1)
LABELS = tf.constant([1, 9, 4, 4, 2, 7], tf.int64)


@pytest.mark.parametrize("kd_temperature", [1.0, 2.5])
def test_the_divergence_is_kl_of_the_softened_logits(kd_temperature: float) -> None:
    losses = logits_losses(STUDENT, LABELS, TEACHER, kd_temperature=kd_temperature)
    expected = mean_kl(_logits(STUDENT) / kd_temperature, _logits(TEACHER) / kd_temperature)
    assert float(losses.divergence) == pytest.approx(expected * kd_temperature**2, rel=1e-5)


def test_the_task_is_the_mean_negative_log_probability_of_the_labels() -> None:
    shares = np.exp(_logits(STUDENT))
    shares /= shares.sum(axis=1, keepdims=True)
    expected = -np.mean(
        [np.log(share[label - 1]) for share, label in zip(shares, LABELS, strict=True)]
    )
    assert float(logits_losses(STUDENT, LABELS, TEACHER).task) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kd_temperature", [1.0, 2.5])
def test_the_gradient_is_that_of_differentiated_log_softmaxes(kd_temperature: float) -> None:
    with tf.GradientTape(persistent=True) as tape:
        losses = logits_losses(STUDENT, LABELS, TEACHER, kd_temperature=kd_temperature)
        fast = 0.3 * losses.task + 0.7 * losses.divergence
        logits = tf.matmul(*STUDENT, transpose_b=True)
        task = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS - 1, logits)
        student_log = tf.nn.log_softmax(logits / kd_temperature)
        teacher_log = tf.nn.log_softmax(tf.constant(_logits(TEACHER)) / kd_temperature)
        divergence = tf.reduce_sum(tf.exp(teacher_log) * (teacher_log - student_log), axis=-1)
        slow = tf.reduce_mean(0.3 * task + 0.7 * kd_temperature**2 * divergence)
    for variable in STUDENT:
        np.testing.assert_allclose(
            tape.gradient(fast, variable), tape.gradient(slow, variable), atol=1e-6
        )
    assert tape.gradient(fast, TEACHER.items) is None


def test_lower_precision_stays_near() -> None:
    values = []
    for compute_dtype in ("float32", "bfloat16"):
        with tf.GradientTape() as tape:
            losses = logits_losses(STUDENT, LABELS, TEACHER, compute_dtype=compute_dtype)
            total = losses.task + losses.divergence
        values.append([*tape.gradient(total, STUDENT), losses.task])
    for exact, low in zip(*values, strict=True):
        assert low.dtype == tf.float32
        np.testing.assert_allclose(low, exact, atol=0.03)


def test_logits_losses_do_not_grow_with_the_number_of_positions() -> None:
    often = Scores(tf.tile(STUDENT.states, [7, 1]), STUDENT.items)
    teacher = Scores(tf.tile(TEACHER.states, [7, 1]), TEACHER.items)
    once = logits_losses(STUDENT, LABELS, TEACHER)
    many = logits_losses(often, tf.tile(LABELS, [7]), teacher)
    np.testing.assert_allclose([*many], [*once], rtol=1e-5)
    assert float(once.divergence) > 0.1


def test_a_student_like_its_teacher_has_no_divergence() -> None:
    assert float(logits_losses(TEACHER, LABELS, TEACHER).divergence) == pytest.approx(0, abs=1e-5)


def test_embedding_loss_by_hand() -> None:
    loss = embedding_loss(tf.constant([[1.0, 2.0]]), tf.constant([[0.0, 4.0]]))
    assert float(loss) == pytest.approx(2.5)
