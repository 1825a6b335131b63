"""Clients of a model server that ask, wait for the answer and ask again: throughput and latency.

    python tests/benchmarks/closed_loop.py --server localhost:8500 --bundle DIR --clients 1 8

Runs in a process of its own, so that clients and server do not share an interpreter. Requests are
those of the bundle's warm-up file; they are serialized once, and of an answer only the version is
read, so that the clients cost little. Prints one JSON object for each number of clients.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import grpc
import numpy as np
from tensorflow_serving.apis import predict_pb2

from serving.loaded_model import read_warmup_requests

PREDICT = "/tensorflow.serving.PredictionService/Predict"


class Answer(NamedTuple):
    """One request: when it was sent, how long it took, and how it ended.

    Attributes:
      sent_s: seconds on this machine's monotonic clock.
      seconds: until the answer.
      code: name of its status.
      version: that answered, 0 for an error.
    """

    sent_s: float
    seconds: float
    code: str
    version: int


def read_requests(bundle: Path, model_name: str) -> list[bytes]:
    """The default signature's requests of a bundle's warm-up file, serialized.

    Args:
      bundle: a SavedModel folder.
      model_name: the name it is served under.
    """
    requests = []
    for request in read_warmup_requests(bundle):
        if request.model_spec.signature_name in ("", "serving_default"):
            request.model_spec.name = model_name
            requests.append(request.SerializeToString())
    if not requests:
        raise ValueError(f"{bundle} should have warm-up requests of its default signature.")
    return requests


async def ask_in_a_loop(
    server: str,
    requests: Sequence[bytes],
    stop: asyncio.Event,
    answers: list[Answer],
    *,
    until_refused: bool = False,
) -> None:
    """One client, on a connection of its own, until it is told to stop.

    Args:
      server: HOST:PORT.
      requests: asked in turns.
      stop: when to stop.
      answers: gets an entry a request, in order.
      until_refused: whether the first UNAVAILABLE ends it.
    """
    # A channel of its own: clients elsewhere do not share one either.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(server, options=options) as channel:
        predict = channel.unary_unary(PREDICT)
        position = 0
        while not stop.is_set():
            sent_s = time.monotonic()
            code, version = "OK", 0
            try:
                response = await predict(requests[position % len(requests)], timeout=60)
            except grpc.aio.AioRpcError as error:
                code = error.code().name
            else:
                parsed = predict_pb2.PredictResponse.FromString(response)
                version = parsed.model_spec.version.value
            answers.append(Answer(sent_s, time.monotonic() - sent_s, code, version))
            position += 1
            if until_refused and code == "UNAVAILABLE":
                return


async def run_clients(
    server: str, requests: Sequence[bytes], num_clients: int, seconds: float
) -> list[list[Answer]]:
    """Runs clients for some seconds.

    Args:
      server: HOST:PORT.
      requests: parted among the clients.
      num_clients: how many ask at once.
      seconds: how long.

    Returns:
      Each client's answers.
    """
    stop = asyncio.Event()
    answers: list[list[Answer]] = [[] for _ in range(num_clients)]
    shares = [requests[number::num_clients] or requests for number in range(num_clients)]
    tasks = [
        asyncio.create_task(ask_in_a_loop(server, share, stop, own))
        for share, own in zip(shares, answers, strict=True)
    ]
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*tasks)
    return answers


def summarize(answers: Sequence[Sequence[Answer]], warm_up_s: float) -> dict[str, float]:
    """Throughput and latency percentiles of what was sent after the first `warm_up_s` seconds."""
    everything = [answer for own in answers for answer in own]
    begin_s = min(answer.sent_s for answer in everything) + warm_up_s
    measured = [answer for answer in everything if answer.sent_s >= begin_s]
    end_s = max(answer.sent_s + answer.seconds for answer in measured)
    p50, p99, p999 = np.percentile([answer.seconds * 1000 for answer in measured], [50, 99, 99.9])
    return {
        "clients": len(answers),
        "requests": len(measured),
        "errors": sum(answer.code != "OK" for answer in measured),
        "requests_per_s": round(len(measured) / (end_s - begin_s), 1),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "p999_ms": round(float(p999), 3),
    }


def main() -> None:
    """Prints a summary for each number of clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--model-name", default="student")
    parser.add_argument("--clients", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warm-up-s", type=float, default=1.0)
    options = parser.parse_args()
    requests = read_requests(options.bundle, options.model_name)
    seconds = options.seconds + options.warm_up_s
    for num_clients in options.clients:
        answers = asyncio.run(run_clients(options.server, requests, num_clients, seconds))
        print(json.dumps(summarize(answers, options.warm_up_s)), flush=True)


if __name__ == "__main__":
    main()
