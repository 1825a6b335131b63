"""The latency of a bundle on this machine."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adarec_tf.export.bundle import read_manifest
from adarec_tf.export.signatures import SIGNATURE
from adarec_tf.export.tf_session import TfSession
from adarec_tf.export.warm_up import request_arrays

_WARMUP_REQUESTS = 10


class Latency(NamedTuple):
    """Milliseconds of one request with one history, in process."""

    p50_ms: float
    p99_ms: float


def measure_latency(
    bundle_dir: str, histories: Sequence[Sequence[str]], *, k: int, num_requests: int
) -> Latency:
    """Times the served function on single histories, one after the other, after a warm-up.

    It is run by a session, as a server does it.

    Args:
      bundle_dir: the bundle; asked with its own default for seen items.
      histories: raw item keys of real users, cycled over.
      k: items asked for.
      num_requests: how many calls to time.

    Raises:
      ValueError: there are no histories, or `num_requests` is below 1.
    """
    if not histories or num_requests < 1:
        raise ValueError(
            "Latency should be measured on at least one history and one request. "
            f"Received: {len(histories)} histories, num_requests={num_requests}."
        )
    exclude_seen = read_manifest(bundle_dir)["seen"] == "exclude"
    ask = TfSession().load(bundle_dir)[SIGNATURE]
    # Made before: TensorFlow at work in between would have the model out of the caches.
    requests = [request_arrays([history], k, exclude_seen) for history in histories[:num_requests]]
    durations_ms = []
    for number in range(_WARMUP_REQUESTS + num_requests):
        request = requests[number % len(requests)]
        start = time.perf_counter()
        ask(request)
        durations_ms.append(1000 * (time.perf_counter() - start))
    p50_ms, p99_ms = np.percentile(durations_ms[_WARMUP_REQUESTS:], [50, 99])
    return Latency(float(p50_ms), float(p99_ms))
