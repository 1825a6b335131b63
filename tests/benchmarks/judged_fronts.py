"""Judges the students that each method trained: its front, its volume, and who is good enough."""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from adarec_tf.models.students import Genotype

METHODS = ("searched", "random", "evolution", "hand-made")
_LOWEST_SHARE, _GOAL_SHARE = 0.8, 0.98  # of the teacher's NDCG@10


class Trained(NamedTuple):
    """A student after its training: NDCG@10 of either split, and seconds of the processor."""

    genotype: Genotype
    valid: float
    test: float
    cpu_s: float


def front_of(rows: Iterable[Trained], cost: dict[str, float]) -> list[Trained]:
    """Those that are better on validation than all that cost as little, the cheapest first."""
    front: list[Trained] = []
    for row in sorted(rows, key=lambda row: (cost[row.genotype.describe()], -row.valid)):
        if not front or row.valid > front[-1].valid:
            front.append(row)
    return front


def volume(front: list[Trained], cost: dict[str, float], dearest: float, best: float) -> float:
    """Of a front on test, from 0 to 1 where all are as good as the teacher, and cost nothing."""
    places = [cost[row.genotype.describe()] for row in front]
    heights = [max(0.0, (row.test / best - _LOWEST_SHARE) / (1 - _LOWEST_SHARE)) for row in front]
    steps = itertools.pairwise([*places, dearest])
    return (
        sum(height * (stop - start) for height, (start, stop) in zip(heights, steps, strict=True))
        / dearest
    )


def judge(
    rows: list[Trained],
    latency: dict[str, float],
    num_bytes: dict[str, float],
    teachers: dict[str, float],
    best: float,
) -> Any:
    """The front of a method and a seed, its volume, and the fastest students that are good enough.

    Good enough is a share of the teacher's NDCG@10 on validation, or of `best`, which any method's
    best student has.
    """
    front, small = front_of(rows, latency), front_of(rows, num_bytes)
    enough, alike = (
        [row for row in front if row.valid >= _GOAL_SHARE * whole]
        for whole in (teachers["valid"], best)
    )
    return {
        "students": len(rows),
        "volume": round(volume(front, latency, max(latency.values()), teachers["test"]), 4),
        "volume by bytes": round(
            volume(small, num_bytes, max(num_bytes.values()), teachers["test"]), 4
        ),
        "latency of 98%": _latency_of_first(enough, latency),
        "its test share": round(enough[0].test / teachers["test"], 4) if enough else None,
        "best test share": round(front[-1].test / teachers["test"], 4),
        "latency of 98% of best": _latency_of_first(alike, latency),
    }


def _latency_of_first(front: list[Trained], latency: dict[str, float]) -> float | None:
    return round(latency[front[0].genotype.describe()], 3) if front else None


def best_of(found: dict[str, list[Trained]]) -> float:
    """NDCG@10 on validation of the best student of all methods."""
    return max(row.valid for rows in found.values() for row in rows)


def summary(seeds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean and deviation of each method's volumes over seeds, and the median latencies of 98%."""
    found: dict[str, Any] = {}
    for method in METHODS:
        of_seeds = [seed[method] for seed in seeds.values()]
        found[method] = {}
        for name, sd in (("volume", "sd"), ("volume by bytes", "sd by bytes")):
            volumes = [seed[name] for seed in of_seeds]
            found[method][name] = round(float(np.mean(volumes)), 4)
            found[method][sd] = (
                round(float(np.std(volumes, ddof=1)), 4) if len(volumes) > 1 else None
            )
        for name in ("latency of 98%", "latency of 98% of best"):
            values = [seed[name] for seed in of_seeds]
            found[method][name] = None if None in values else float(np.median(values))
    return found
