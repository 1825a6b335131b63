"""Intervals and tests: against scipy, and by what they promise."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.evaluation import uncertainty
from adarec_tf.evaluation.ranking import user_gains
from adarec_tf.evaluation.uncertainty import bootstrap_interval, paired_test

RANKS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def ndcg_of(ranks: np.ndarray) -> np.ndarray:
    return user_gains(ranks, cutoffs=(10,), protocol="full")["ndcg@10/full"]


def ndcg_gains(seed: int, num_users: int, scale: float) -> np.ndarray:
    ranks = 1 + np.random.default_rng(seed).exponential(scale, num_users).astype(int)
    return ndcg_of(ranks)


@settings(deadline=None, max_examples=30)
@given(RANKS)
def test_the_interval_holds_the_mean(ranks: list[int]) -> None:
    gains = ndcg_of(np.array(ranks))
    interval = bootstrap_interval(gains, seed=0, num_resamples=500)
    assert interval.low - 1e-12 <= interval.mean <= interval.high + 1e-12
    assert interval.mean == pytest.approx(gains.mean(), rel=1e-12)
    assert gains.min() - 1e-12 <= interval.low
    assert interval.high <= gains.max() + 1e-12


@settings(deadline=None, max_examples=30)
@given(RANKS)
def test_a_model_against_itself_differs_by_nothing(ranks: list[int]) -> None:
    gains = ndcg_of(np.array(ranks))
    assert paired_test(gains, gains.copy(), seed=0, num_resamples=100) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("is_continuous", [False, True])
def test_the_interval_is_that_of_scipy(is_continuous: bool) -> None:
    gains = ndcg_gains(0, 400, 12.0)
    if is_continuous:
        gains = np.random.default_rng(0).normal(1.0, 2.0, 400)
    expected = scipy.stats.bootstrap(
        (gains,), np.mean, n_resamples=5000, method="percentile", random_state=1
    ).confidence_interval
    interval = bootstrap_interval(gains, seed=0)
    # Ends of the interval move by a twentieth of its width from seed to seed.
    width = expected.high - expected.low
    assert interval[1:] == pytest.approx(tuple(expected), abs=0.05 * width)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    ranks = 1 + np.random.default_rng(0).exponential(12.0, (600, 250)).astype(int)
    truth = ndcg_of(1 + np.random.default_rng(1).exponential(12.0, 10**6).astype(int))
    covered = 0
    for seed, row in enumerate(ranks):
        interval = bootstrap_interval(ndcg_of(row), seed=seed, num_resamples=1000)
        covered += interval.low <= truth.mean() <= interval.high
    # Three standard deviations of 600 draws are .027.
    assert covered / len(ranks) == pytest.approx(0.95, abs=0.03)


def test_memory_bounds_do_not_change_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    gains, other = ndcg_gains(0, 300, 12.0), ndcg_gains(1, 300, 14.0)
    interval, test = bootstrap_interval(gains, seed=3), paired_test(gains, other, seed=3)
    monkeypatch.setattr(uncertainty, "_MAX_CELLS", 1000)
    assert bootstrap_interval(gains, seed=3) == pytest.approx(interval, rel=1e-12)
    assert paired_test(gains, other, seed=3) == pytest.approx(test, rel=1e-12)
    assert 0.001 < test.p_value < 0.999


def test_the_p_value_is_that_of_all_sign_flips() -> None:
    gains = np.array([0.9, 0.1, 0.4, 0.7, 0.3, 0.8, 0.2, 0.6, 0.5, 0.0])
    other = np.array([0.5, 0.2, 0.4, 0.1, 0.2, 0.5, 0.3, 0.1, 0.5, 0.1])
    exact = scipy.stats.permutation_test(
        (gains, other), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    test = paired_test(gains, other, seed=0, num_resamples=20_000)
    # Three standard deviations of a share of 20,000 draws.
    assert test.p_value == pytest.approx(exact.pvalue, abs=0.007)
    assert 0.02 < exact.pvalue < 0.2
    assert test.difference == pytest.approx(exact.statistic)


def test_p_values_of_equal_models_are_uniform() -> None:
    generator = np.random.default_rng(0)
    p_values = [
        paired_test(*generator.normal(size=(2, 40)), seed=seed, num_resamples=400).p_value
        for seed in range(400)
    ]
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01


def test_a_clear_difference_is_found_and_has_a_sign() -> None:
    gains, worse = ndcg_gains(0, 500, 8.0), ndcg_gains(1, 500, 16.0)
    test = paired_test(gains, worse, seed=0, num_resamples=2000)
    assert 0 < test.low < test.difference < test.high
    assert test.p_value == pytest.approx(1 / 2001)
    turned = paired_test(worse, gains, seed=0, num_resamples=2000)
    assert turned.difference == pytest.approx(-test.difference)
    assert turned.high < 0
    assert turned.p_value == test.p_value


def test_the_same_seed_gives_the_same_figures() -> None:
    gains = ndcg_gains(0, 200, 12.0)
    assert bootstrap_interval(gains, seed=1) == bootstrap_interval(gains, seed=1)
    assert bootstrap_interval(gains, seed=1) != bootstrap_interval(gains, seed=2)


def test_what_has_no_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one user"):
        bootstrap_interval(np.zeros(0), seed=0)
    with pytest.raises(ValueError, match="confidence=95"):
        bootstrap_interval(np.ones(3), seed=0, confidence=95)
    with pytest.raises(ValueError, match=r"same users.*\(3,\) and \(2,\)"):
        paired_test(np.ones(3), np.ones(2), seed=0)
