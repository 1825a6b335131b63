import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.distillation.losses import LogitsLosses, Scores, logits_losses
from adarec_tf.distillation.sampled_logits import (
    Candidates,
    candidate_scores,
    draw_candidates,
    sampled_logits_losses,
    stratum_starts,
)
from adarec_tf.models.sequence_model import MASKED_SCORE

NUM_POSITIONS, NUM_ITEMS, NUM_TOP = 5, 40, 3
LABELS = tf.constant([1, 40, 7, 7, 12], tf.int64)


def _scores(dim: int, seed: int) -> Scores:
    generator = np.random.default_rng(seed)
    return Scores(
        tf.constant(generator.normal(size=(NUM_POSITIONS, dim)).astype(np.float32)),
        tf.constant(generator.normal(size=(NUM_ITEMS, dim)).astype(np.float32)),
    )


STUDENT, TEACHER = _scores(3, seed=0), _scores(5, seed=1)
TOP_ITEMS = 1 + tf.math.top_k(tf.matmul(*TEACHER, transpose_b=True), NUM_TOP).indices


def _draw(num_sampled: int, seed: int = 0) -> Candidates:
    starts = stratum_starts(NUM_ITEMS, num_sampled)
    return draw_candidates(LABELS, TOP_ITEMS, starts, tf.constant([seed, 0]))


def _losses(student: Scores, candidates: Candidates, kd_temperature: float = 1.0) -> LogitsLosses:
    student_scores, teacher_scores = (
        candidate_scores(
            side.states,
            tf.gather(side.items, candidates.own - 1),
            tf.gather(side.items, candidates.shared - 1),
        )
        for side in (student, TEACHER)
    )
    return sampled_logits_losses(
        student_scores, teacher_scores, candidates, kd_temperature=kd_temperature
    )


def test_strata_cut_the_whole_catalog_and_grow() -> None:
    starts = stratum_starts(1000, 50)
    sizes = np.diff(starts)
    assert (starts[0], starts[-1]) == (0, 1000)
    assert sizes.min() == 1
    assert len(sizes) <= 50
    assert np.all(np.diff(sizes) >= -1)  # rounding
    np.testing.assert_array_equal(stratum_starts(7, 7), np.arange(8))


def test_every_item_counts_once() -> None:
    starts = stratum_starts(NUM_ITEMS, 12)
    for seed in range(20):
        candidates = _draw(12, seed)
        shared = candidates.shared.numpy()
        assert np.all((starts[:-1] < shared) & (shared <= starts[1:]))
        for row in range(NUM_POSITIONS):
            own, is_own = candidates.own.numpy()[row], candidates.own_offsets.numpy()[row] == 0
            assert own[0] == LABELS[row]
            assert is_own[0]
            assert sorted(own[is_own]) == sorted({int(LABELS[row]), *TOP_ITEMS.numpy()[row]})
            offsets = candidates.shared_offsets.numpy()[row]
            is_masked = np.isin(shared, own)
            np.testing.assert_array_equal(offsets[is_masked], MASKED_SCORE)
            expected = np.log(np.diff(starts)[~is_masked])
            np.testing.assert_allclose(offsets[~is_masked], expected, rtol=1e-6)


@pytest.mark.parametrize("kd_temperature", [1.0, 2.5])
def test_with_an_item_a_stratum_the_losses_are_those_of_the_catalog(
    kd_temperature: float,
) -> None:
    exact = logits_losses(STUDENT, LABELS, TEACHER, kd_temperature=kd_temperature)
    sampled = _losses(STUDENT, _draw(NUM_ITEMS), kd_temperature)
    np.testing.assert_allclose(sampled, exact, rtol=1e-5)


def test_the_normalizer_is_estimated_without_bias() -> None:
    logits = tf.matmul(*STUDENT, transpose_b=True)
    exact = tf.reduce_sum(tf.exp(logits), axis=1)

    @tf.function
    def estimate(seed: tf.Tensor) -> tf.Tensor:
        starts = stratum_starts(NUM_ITEMS, 12)
        candidates = draw_candidates(LABELS, TOP_ITEMS, starts, tf.stack([seed, 1]))
        own = tf.gather(logits, candidates.own - 1, batch_dims=1) + candidates.own_offsets
        shared = tf.gather(logits, candidates.shared - 1, axis=1) + candidates.shared_offsets
        return tf.reduce_sum(tf.exp(tf.concat([own, shared], axis=1)), axis=1)

    estimates = np.array([estimate(tf.constant(seed)) for seed in range(1000)])
    error = estimates.std(axis=0) / np.sqrt(len(estimates))
    assert np.all(np.abs(estimates.mean(axis=0) - exact) < 4 * error)


def test_no_gradient_reaches_the_teacher() -> None:
    with tf.GradientTape() as tape:
        tape.watch([STUDENT.states, TEACHER.states])
        losses = _losses(STUDENT, _draw(12))
        total = losses.task + losses.divergence
    student, teacher = tape.gradient(total, [STUDENT.states, TEACHER.states])
    assert np.all(np.abs(student).sum(axis=1) > 0)
    assert teacher is None
