"""The latency of a bundle on this machine."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adarec_tf.export.bundle import read_manifest
from adarec_tf.export.signatures import SIGNATURE
from adarec_tf.export.tf_session import TfSession
from adarec_tf.export.warm_up import request_arrays

_WARMUP_REQUESTS = 5  # of a turn
_REQUESTS_A_TURN = 50


class Latency(NamedTuple):
    """Milliseconds of one request with one history, in process."""

    p50_ms: float
    p99_ms: float


def measure_latency(
    bundle_dir: str, histories: Sequence[Sequence[str]], *, k: int, num_requests: int
) -> Latency:
    """Times the served function of one bundle, see `measure_latencies`.

    Args:
      bundle_dir: the bundle; asked with its own default for seen items.
      histories: raw item keys of real users, cycled over.
      k: items asked for.
      num_requests: how many calls to time.

    Raises:
      ValueError: there are no histories, or `num_requests` is below 1.
    """
    bundles = {"": bundle_dir}
    return measure_latencies(bundles, histories, k=k, num_requests=num_requests)[""]


def measure_latencies(
    bundle_dirs: Mapping[str, str],
    histories: Sequence[Sequence[str]],
    *,
    k: int,
    num_requests: int,
) -> dict[str, Latency]:
    """Times the served functions of bundles on single histories, one after the other.

    They are asked in turns of a few requests each, so that all see the same machine, and run by a
    session, as a server does it. The first requests of a turn are not counted: what the others did
    has the model out of the caches.

    Args:
      bundle_dirs: name to bundle; asked with its own default for seen items.
      histories: raw item keys of real users, cycled over.
      k: items asked for.
      num_requests: how many calls to time of each.

    Raises:
      ValueError: there are no histories, or `num_requests` is below 1.
    """
    if not histories or num_requests < 1:
        raise ValueError(
            "Latency should be measured on at least one history and one request. "
            f"Received: {len(histories)} histories, num_requests={num_requests}."
        )
    asks, requests = {}, {}
    for name, bundle_dir in bundle_dirs.items():
        exclude_seen = read_manifest(bundle_dir)["seen"] == "exclude"
        asks[name] = TfSession().load(bundle_dir)[SIGNATURE]
        # Made before: TensorFlow at work in between would have the model out of the caches.
        requests[name] = [
            request_arrays([history], k, exclude_seen) for history in histories[:num_requests]
        ]
    durations: dict[str, list[float]] = {name: [] for name in bundle_dirs}
    for first in range(0, num_requests, _REQUESTS_A_TURN):
        count = min(_REQUESTS_A_TURN, num_requests - first)
        warm_up = 2 * _WARMUP_REQUESTS if first == 0 else _WARMUP_REQUESTS
        for name, ask in asks.items():
            for number in range(-warm_up, count):
                request = requests[name][(first + number) % len(requests[name])]
                start = time.perf_counter()
                ask(request)
                seconds = time.perf_counter() - start
                if number >= 0:
                    durations[name].append(1000 * seconds)
    return {name: _latency(of_bundle) for name, of_bundle in durations.items()}


def _latency(durations_ms: Sequence[float]) -> Latency:
    p50_ms, p99_ms = np.percentile(durations_ms, [50, 99])
    return Latency(float(p50_ms), float(p99_ms))
