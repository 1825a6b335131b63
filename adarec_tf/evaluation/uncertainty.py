"""How far a figure can be trusted: intervals over users, and paired tests.

They say what other users like these would give the same trained models.

Gains take few different values (NDCG@10 has eleven), so users are resampled by drawing how many of
them have each value from a multinomial. The cost of a resample follows the number of values.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_MAX_CELLS = 2**21  # counts held at once: 16 MiB


class Interval(NamedTuple):
    """A mean over users and the ends of its interval."""

    mean: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """Two models on the same users.

    Attributes:
      difference: mean gain of the first model minus that of the second.
      low: lower end of the difference's bootstrap interval.
      high: upper end of it.
      p_value: of the two-sided sign-flip test: how often two equally good models would differ at
        least this much by chance.
    """

    difference: float
    low: float
    high: float
    p_value: float


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
    if len(gains) == 0:
        raise ValueError("An interval should be over at least one user. Received: none.")
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
