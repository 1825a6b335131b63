"""Depths that are drawn, and what an architecture has on average, against draws counted out."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.search.space.alphas import (
    OPERATIONS,
    ArchitectureLogits,
    add_noise,
    architecture_of,
    derive_genotype,
    genotype_of,
    initial_alphas,
    sample_architecture,
)
from adarec_tf.search.space.depth import active_rows, expected_student

SIZE = {"num_cells": 3, "num_cell_edges": 3}
PROBABILITIES = np.array([0.5, 0.2, 0.3])  # of leaving out none, one and two of three cells
ABSENCES = np.log(PROBABILITIES).astype(np.float32)


def test_depths_follow_the_softmax_and_operations_do_not_depend_on_them() -> None:
    alphas = initial_alphas(9, seed=0)
    logits = ArchitectureLogits(tf.constant(alphas), tf.constant(ABSENCES))
    seeds = [tf.constant([1, step]) for step in range(400)]
    sampled = [sample_architecture(logits, seed) for seed in seeds]
    generator = np.random.default_rng(0)
    on_host = [
        3
        - len(
            derive_genotype(
                add_noise(ArchitectureLogits(alphas, ABSENCES), generator), **size
            ).cells
        )
        for size in [{"num_nodes": 2, "num_cells": 3}] * 400
    ]
    for drawn in ([int(architecture.num_absent) for architecture in sampled], on_host):
        shares = np.bincount(drawn, minlength=3) / len(drawn)
        np.testing.assert_allclose(shares, PROBABILITIES, atol=0.08)
    without = sample_architecture(ArchitectureLogits(tf.constant(alphas)), seeds[7])
    np.testing.assert_array_equal(without.operations, sampled[7].operations)
    assert without.num_absent == 0


@pytest.mark.parametrize(
    ("num_rows", "expected"),
    [(9, [[1] * 9, [1] * 6 + [0] * 3, [1] * 3 + [0] * 6]), (3, [[1] * 3] * 3)],
)
def test_rows_of_absent_cells_are_not_there(num_rows: int, expected: list[list[int]]) -> None:
    is_there = active_rows(tf.constant([0, 1, 2]), num_rows=num_rows, **SIZE)
    np.testing.assert_array_equal(is_there, expected)


@pytest.mark.parametrize("num_rows", [3, 9])
def test_what_is_expected_is_the_mean_over_depths_and_operations(num_rows: int) -> None:
    """Prices of operations and cells, over every depth and every choice of one edge at a time."""
    alphas = np.random.default_rng(1).normal(size=(num_rows, len(OPERATIONS)))
    prices = np.arange(len(OPERATIONS)) + 1.0
    expected = expected_student(tf.constant(alphas, tf.float32), tf.constant(ABSENCES), **SIZE)
    shares = np.exp(alphas) / np.exp(alphas).sum(axis=1, keepdims=True)
    mean = 0.0
    for (absent, probability), edge in itertools.product(enumerate(PROBABILITIES), range(num_rows)):
        num_there = 3 - absent if num_rows == 3 else float(edge // 3 < 3 - absent)
        mean += probability * num_there * float(shares[edge] @ prices)
    num_alike = 3 if num_rows == 3 else 1
    total = num_alike * float(tf.reduce_sum(expected.shares * prices.astype(np.float32)))
    assert total == pytest.approx(mean, rel=1e-5)
    assert float(expected.num_absent) == pytest.approx(0.2 + 2 * 0.3, rel=1e-5)


@pytest.mark.parametrize("num_rows", [3, 9])
def test_one_depth_changes_nothing_to_the_last_bit(num_rows: int) -> None:
    alphas = tf.constant(initial_alphas(num_rows, seed=3))
    expected = expected_student(alphas, tf.zeros(1), **SIZE)
    np.testing.assert_array_equal(expected.shares, tf.nn.softmax(alphas))
    assert float(expected.num_absent) == 0.0


def test_the_likeliest_depth_is_derived_and_the_edges_of_a_genotype_say_what_is_absent() -> None:
    alphas = np.eye(9, len(OPERATIONS))
    genotype = derive_genotype(
        ArchitectureLogits(alphas, np.array([0.1, 0.3, 0.2])), num_nodes=2, num_cells=3
    )
    assert genotype == genotype_of(range(6), num_nodes=2, num_cells=2)
    architecture = architecture_of(genotype, num_cells=3)
    assert architecture.operations.numpy()[:6].tolist() == list(range(6))
    assert (len(architecture.operations), int(architecture.num_absent)) == (9, 1)
