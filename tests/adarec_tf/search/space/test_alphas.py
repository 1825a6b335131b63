import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adarec_tf.config.search import SearchConfig
from adarec_tf.search.space.alphas import (
    OPERATIONS,
    Logits,
    alphas_scale,
    derive_genotype,
    draw_scores,
    fixed_edges,
    genotype_of,
    initial_alphas,
    operations_of,
    relative_entropy,
    sample_edges,
)
from tests.references.gradients import central_differences

ALPHAS = hnp.arrays(
    np.float32,
    (3, len(OPERATIONS)),
    elements=st.floats(-3, 3, width=16),
    unique=True,
)


@settings(max_examples=30, deadline=None)
@given(ALPHAS, hnp.arrays(np.float32, (3, 1), elements=st.integers(-8, 8).map(float)))
def test_genotype_is_unmoved_by_a_constant_on_an_edge(
    alphas: np.ndarray, constants: np.ndarray
) -> None:
    moved = alphas.astype(np.float64) + constants
    assert derive_genotype(Logits(alphas), num_nodes=2, num_cells=2) == derive_genotype(
        Logits(moved), num_nodes=2, num_cells=2
    )


def test_operations_and_genotype_are_inverse() -> None:
    genotype = genotype_of([3, 0, 9], num_nodes=2, num_cells=3)
    assert operations_of(genotype) == [3, 0, 9] * 3
    per_cell = [3, 0, 9, 1, 2, 8]
    assert operations_of(genotype_of(per_cell, num_nodes=2, num_cells=2)) == per_cell
    assert len(genotype.cells) == 3


def test_gates_are_one_and_samples_follow_the_seed() -> None:
    alphas = tf.zeros([6, len(OPERATIONS)])
    first, again, other = (
        sample_edges(Logits(alphas), tf.constant(s), 1.0) for s in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_allclose(first.gates, 1.0, atol=1e-6)
    np.testing.assert_array_equal(first.operations, again.operations)
    assert np.any(first.operations != other.operations)


def test_samples_follow_the_softmax_of_the_alphas() -> None:
    alphas = np.log(np.array([[0.5, 0.3, 0.2, *[1e-9] * (len(OPERATIONS) - 3)]], np.float32))
    counts = np.zeros(len(OPERATIONS))
    for step in range(600):
        sampled = sample_edges(Logits(tf.constant(alphas)), tf.constant([0, step]), 1.0)
        counts[int(sampled.operations[0])] += 1
    np.testing.assert_allclose(counts[:3] / 600, [0.5, 0.3, 0.2], atol=0.06)
    generator = np.random.default_rng(0)
    drawn = [draw_scores(Logits(alphas), generator).operations[0].argmax() for _ in range(600)]
    assert np.mean(np.equal(drawn, 0)) == pytest.approx(0.5, abs=0.06)


def test_gate_gradient_is_that_of_the_relaxed_probability() -> None:
    alphas = np.random.default_rng(1).normal(size=(2, len(OPERATIONS))).astype(np.float32)
    seed, gumbel_temperature = tf.constant([4, 5]), 0.7
    weights = tf.constant([2.0, -3.0])
    variable = tf.Variable(alphas)
    with tf.GradientTape() as tape:
        sampled = sample_edges(Logits(variable), seed, gumbel_temperature)
        value = tf.reduce_sum(weights * sampled.gates)
    uniform = tf.random.stateless_uniform(alphas.shape, seed, minval=1e-9, maxval=1.0).numpy()
    noise = -np.log(-np.log(uniform.astype(np.float64)))

    def relaxed(at: np.ndarray) -> float:
        logits = (at + noise) / gumbel_temperature
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        chosen = shares[np.arange(2), sampled.operations.numpy()]
        return float((weights.numpy() * chosen).sum())

    expected = central_differences(relaxed, alphas.astype(np.float64), 1e-5)
    np.testing.assert_allclose(tape.gradient(value, variable), expected, rtol=1e-3, atol=1e-5)


def test_entropy_is_one_when_undecided_and_zero_when_decided() -> None:
    assert relative_entropy(initial_alphas(6, seed=0)) == pytest.approx(1.0, abs=1e-4)
    assert relative_entropy(100 * np.eye(3, len(OPERATIONS))) == pytest.approx(0.0, abs=1e-6)


def test_fixed_edges_are_the_given_ones_with_open_gates() -> None:
    sampled = fixed_edges([1, 2, 3])
    np.testing.assert_array_equal(sampled.operations, [1, 2, 3])
    np.testing.assert_array_equal(sampled.gates, 1.0)


def test_the_scale_rises_from_the_end_of_the_warm_up_to_the_last_epoch() -> None:
    search = SearchConfig(
        max_epochs=6, warmup_epochs=2, alphas_scale_start=1.0, alphas_scale_end=4.0
    )
    scales = [alphas_scale(search, epoch) for epoch in range(6)]
    assert scales == pytest.approx([1.0, 1.0, 1.0, 2.0, 3.0, 4.0])
