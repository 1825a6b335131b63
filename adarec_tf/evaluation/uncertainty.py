"""How far a figure can be trusted: intervals over users, spread over seeds, paired tests.

Users are the sample: intervals and tests say what other users like these would give the same
trained models. What another seed would give is told by `seed_spread` alone.

Gains take few different values (NDCG@10 has eleven), and resampling users is the same as
resampling how many of them have each value: a multinomial draw. A resample then costs what the
values number, not the users.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

_MAX_CELLS = 2**21  # counts held at once: 16 MiB


class Interval(NamedTuple):
    """A mean over users and the range it would take for other users.

    Attributes:
      mean: of the gains.
      low: lower end of the interval.
      high: upper end of the interval.
    """

    mean: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """Two models on the same users.

    Attributes:
      difference: mean gain of the first model minus that of the second.
      low: lower end of the difference's bootstrap interval.
      high: upper end of it.
      p_value: of the sign-flip test, two-sided: how often chance alone, had the two been equally
        good for each user, would give a difference at least this large.
    """

    difference: float
    low: float
    high: float
    p_value: float


class SeedSpread(NamedTuple):
    """One figure over several seeds.

    Attributes:
      mean: over the seeds.
      standard_deviation: of the sample (n - 1 below the line).
      num_seeds: how many.
    """

    mean: float
    standard_deviation: float
    num_seeds: int


def bootstrap_interval(
    gains: np.ndarray, *, seed: int, num_resamples: int = 10_000, confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap of a mean over users.

    Args:
      gains: float [U], from `user_gains`.
      seed: of the resampling.
      num_resamples: how many times as many users are drawn anew.
      confidence: share of the resampled means inside the interval.

    Raises:
      ValueError: there are no users, or `confidence` is not between 0 and 1.
    """
    _check_users(gains)
    if not 0 < confidence < 1:
        raise ValueError(
            f"`confidence` should be between 0 and 1. Received: confidence={confidence}."
        )
    values, counts = np.unique(gains, return_counts=True)
    generator = np.random.default_rng(seed)
    means = np.concatenate(
        [
            generator.multinomial(len(gains), counts / len(gains), size) @ values / len(gains)
            for size in _block_sizes(num_resamples, len(values))
        ]
    )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.mean(gains)), float(low), float(high))


def paired_test(
    gains: np.ndarray,
    other_gains: np.ndarray,
    *,
    seed: int,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
) -> PairedTest:
    """Compares two models user by user: bootstrap of the difference, and a sign-flip test.

    Args:
      gains: float [U], of one model.
      other_gains: float [U], of the other, for the same users in the same order.
      seed: of the resampling.
      num_resamples: of the bootstrap, and of the signs; the least p-value is 1 / (this + 1).
      confidence: of the interval.

    Raises:
      ValueError: the two do not have the same users, there are none, or `confidence` is not
        between 0 and 1.
    """
    if gains.shape != other_gains.shape:
        raise ValueError(
            "The gains of two models should be of the same users. "
            f"Received: {gains.shape} and {other_gains.shape}."
        )
    differences = gains - other_gains
    interval = bootstrap_interval(
        differences, seed=seed, num_resamples=num_resamples, confidence=confidence
    )
    p_value = _sign_flip_p_value(differences, seed, num_resamples)
    return PairedTest(interval.mean, interval.low, interval.high, p_value)


def seed_spread(values: Sequence[float]) -> SeedSpread:
    """Mean and standard deviation of one figure over runs that differ in their seed alone.

    Args:
      values: the figure of each run.

    Raises:
      ValueError: fewer than two runs, which have no spread.
    """
    if len(values) < 2:
        raise ValueError(f"A spread should be over two or more seeds. Received: {len(values)}.")
    return SeedSpread(float(np.mean(values)), float(np.std(values, ddof=1)), len(values))


def _sign_flip_p_value(differences: np.ndarray, seed: int, num_resamples: int) -> float:
    """Share of random signs whose sum is at least as far from 0, the observed ones among them."""
    values, places, counts = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    num_positive = np.bincount(places, differences > 0, minlength=len(values))
    # Sums that are equal but for rounding count as equal.
    tolerance = 1e-12 * float(values @ counts)
    least = abs(float((2 * num_positive - counts) @ values)) - tolerance
    generator = np.random.default_rng(seed)
    num_extreme = 0
    for size in _block_sizes(num_resamples, len(values)):
        flipped = generator.binomial(counts, 0.5, (size, len(values)))
        num_extreme += int((np.abs((2 * flipped - counts) @ values) >= least).sum())
    return (1 + num_extreme) / (1 + num_resamples)


def _block_sizes(num_resamples: int, num_values: int) -> Iterator[int]:
    """Resamples cut into blocks that fit `_MAX_CELLS`."""
    size = max(1, _MAX_CELLS // num_values)
    for start in range(0, num_resamples, size):
        yield min(size, num_resamples - start)


def _check_users(gains: np.ndarray) -> None:
    if len(gains) == 0:
        raise ValueError("An interval should be over at least one user. Received: none.")
