import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adarec_tf.search.space.alphas import (
    OPERATIONS,
    ArchitectureLogits,
    add_noise,
    derive_genotype,
    genotype_of,
    initial_alphas,
    operations_of,
    relative_entropy,
    sample_architecture,
)

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
    assert derive_genotype(ArchitectureLogits(alphas), num_nodes=2, num_cells=2) == derive_genotype(
        ArchitectureLogits(moved), num_nodes=2, num_cells=2
    )


def test_operations_and_genotype_are_inverse() -> None:
    genotype = genotype_of([3, 0, 9], num_nodes=2, num_cells=3)
    assert operations_of(genotype) == [3, 0, 9] * 3
    per_cell = [3, 0, 9, 1, 2, 8]
    assert operations_of(genotype_of(per_cell, num_nodes=2, num_cells=2)) == per_cell
    assert len(genotype.cells) == 3


def test_samples_follow_the_seed() -> None:
    uniform = ArchitectureLogits(tf.zeros([6, len(OPERATIONS)]))
    first, again, other = (
        sample_architecture(uniform, tf.constant(seed)).operations
        for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_samples_follow_the_softmax_of_the_alphas() -> None:
    alphas = np.log(np.array([[0.5, 0.3, 0.2, *[1e-9] * (len(OPERATIONS) - 3)]], np.float32))
    counts = np.zeros(len(OPERATIONS))
    for step in range(600):
        sampled = sample_architecture(
            ArchitectureLogits(tf.constant(alphas)), tf.constant([0, step])
        )
        counts[int(sampled.operations[0])] += 1
    np.testing.assert_allclose(counts[:3] / 600, [0.5, 0.3, 0.2], atol=0.06)
    generator = np.random.default_rng(0)
    drawn = [
        add_noise(ArchitectureLogits(alphas), generator).operations[0].argmax() for _ in range(600)
    ]
    assert np.mean(np.equal(drawn, 0)) == pytest.approx(0.5, abs=0.06)


def test_entropy_is_one_when_undecided_and_zero_when_decided() -> None:
    assert relative_entropy(initial_alphas(6, seed=0)) == pytest.approx(1.0, abs=1e-4)
    assert relative_entropy(100 * np.eye(3, len(OPERATIONS))) == pytest.approx(0.0, abs=1e-6)
