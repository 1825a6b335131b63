"""Everything that is known of a model server, tried against any: one command, its outcome as JSON.

    python -m tests.serving.contract_bundle DIR/1
    # serve DIR under the name `student`, with gRPC's health service
    python -m tests.serving.against HOST:PORT --model-dir DIR

1. `contract`: the tests of both clients.
2. `codes`: requests that are not as they should be, and the codes of their answers. Where the
   embedded server differs from the stock one on purpose, either is right.
3. `bad_requests`: requests of every kind of wrongness. None may hang or end the server.
4. `load`: clients that ask at once, for histories of unequal lengths: each answer has to be the one
   that the request gets alone.
5. `swaps`: versions published under load, each asked as a push is; a broken one; a roll-back. It
   needs `--model-dir`, the folder that the server watches, and leaves it as it was.

Ends with 0 if all of them passed. What could harm a server is left out: shapes stated and not
filled, and a folder that is not there.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import grpc
import numpy as np
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from tensorflow_serving.apis import predict_pb2

from adarec_tf.export.warm_up import serialized_example
from serving.errors import ServingError
from serving.model_versions import find_versions
from serving.push_check import check_push
from tests.benchmarks.server_process import publish
from tests.serving import fuzzing
from tests.serving.codes import COMMON, DIFFERENCES, code_of
from tests.serving.contract_bundle import KEYS

MODEL_NAME = "student"
TIME_LIMIT_S = 120.0
_ROOT = Path(__file__).parents[2]
# Clients elsewhere do not share a connection either.
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]

Outcome = dict[str, Any]


def predict_request(signature: str, **inputs: Any) -> predict_pb2.PredictRequest:
    """A request of the contract's bundle.

    Args:
      signature: which of its functions.
      **inputs: values by name.
    """
    spec = {"name": MODEL_NAME, "signature_name": signature}
    protos = {name: tf.make_tensor_proto(value) for name, value in inputs.items()}
    return predict_pb2.PredictRequest(model_spec=spec, inputs=protos)


def recommend_request(history: Sequence[str]) -> predict_pb2.PredictRequest:
    """A request of the default signature."""
    return predict_request("serving_default", history=[history], k=5, exclude_seen=True)


def run_contract(address: str) -> Outcome:
    """Runs the tests of the clients in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--junitxml={report}", "tests/serving/test_client_contract.py"]
        environment = {**os.environ, "ADAREC_MODEL_SERVER": address}
        done = subprocess.run(
            command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if not report.exists():
            return {"passed": False, "tests": 0, "failed": [done.stdout[-2000:] + done.stderr]}
        cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [
        case.attrib["name"]
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return {"passed": bool(cases) and not failed, "tests": len(cases), "failed": failed}


def run_codes(address: str) -> Outcome:
    """Asks what is not as it should be."""
    good = recommend_request(KEYS[:3])
    with grpc.insecure_channel(address, _OPTIONS) as channel:
        wrong = {
            case.what: {"expected": case.code, "received": received}
            for case in COMMON
            if (received := code_of(channel, case.make, good)) != case.code
        }
        differences = {}
        for row in DIFFERENCES:
            if row.is_harmless:
                received = code_of(channel, row.make, good)
                differences[row.what] = received
                if received not in (row.stock, row.embedded):
                    expected = f"{row.stock} or {row.embedded}"
                    wrong[row.what] = {"expected": expected, "received": received}
    return {
        "passed": not wrong,
        "requests": len(COMMON) + len(differences),
        "wrong": wrong,
        "differences": differences,
    }


def run_bad_requests(address: str, num_requests: int) -> Outcome:
    """Asks what has any kind of wrongness, and then what has none."""
    good = recommend_request(KEYS[:3])
    codes: collections.Counter[str] = collections.Counter()
    with grpc.insecure_channel(address, _OPTIONS) as channel:
        before = _outputs(channel, good)

        @settings(
            max_examples=num_requests,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(fuzzing.requests(good, fuzzing.SMALL_SIZES))
        def ask(request: bytes) -> None:
            codes[fuzzing.ask(channel, request).name] += 1

        ask()
        answers_as_before = _are_equal(_outputs(channel, good), before)
    no_answer = {"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED"} & codes.keys()
    return {
        "passed": answers_as_before and not no_answer,
        "codes": dict(codes),
        "answers_as_before": answers_as_before,
    }


def _outputs(channel: grpc.Channel, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    predict = channel.unary_unary(
        fuzzing.PREDICT,
        request_serializer=predict_pb2.PredictRequest.SerializeToString,
        response_deserializer=predict_pb2.PredictResponse.FromString,
    )
    response = predict(request, timeout=60)
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


def _are_equal(outputs: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return outputs.keys() == expected.keys() and all(
        output.shape == expected[name].shape
        and (
            np.allclose(output, expected[name], rtol=1e-4, atol=1e-5)
            if output.dtype.kind == "f"
            else (output == expected[name]).all()
        )
        for name, output in outputs.items()
    )


def load_requests() -> list[predict_pb2.PredictRequest]:
    """Requests for histories of unequal lengths, of every signature with histories."""
    requests = []
    for length in range(1, 9):
        history = KEYS[length : 2 * length]
        requests += [
            recommend_request(history),
            predict_request("embed", history=[history]),
            predict_request("score", history=[history], candidates=[KEYS[:length]]),
            predict_request("from_examples", examples=[serialized_example(history)]),
        ]
    return requests


def run_load(address: str, num_clients: int, seconds: float) -> Outcome:
    """Has clients ask at once, and compares each answer with the one that a request gets alone."""
    requests = load_requests()
    with grpc.insecure_channel(address, _OPTIONS) as channel:
        expected = [_outputs(channel, request) for request in requests]
    codes: collections.Counter[str] = collections.Counter()
    wrong: collections.Counter[str] = collections.Counter()
    times_s: list[float] = []
    until_s = time.monotonic() + seconds

    def ask(seed: int) -> None:
        choose = random.Random(seed)
        with grpc.insecure_channel(address, _OPTIONS) as channel:
            begin_s = 0.0
            while begin_s < until_s:  # once at least
                number = choose.randrange(len(requests))
                code, begin_s = "OK", time.monotonic()
                try:
                    outputs = _outputs(channel, requests[number])
                except grpc.RpcError as error:
                    code = error.code().name
                else:
                    times_s.append(time.monotonic() - begin_s)
                    if not _are_equal(outputs, expected[number]):
                        wrong[requests[number].model_spec.signature_name] += 1
                codes[code] += 1

    with ThreadPoolExecutor(num_clients) as pool:
        list(pool.map(ask, range(num_clients)))
    p50_ms, p99_ms = np.percentile(times_s or [np.nan], [50, 99]) * 1000
    return {
        "passed": codes.keys() == {"OK"} and not wrong,
        "clients": num_clients,
        "codes": dict(codes),
        "wrong_answers": dict(wrong),
        "p50_ms": round(float(p50_ms), 2),
        "p99_ms": round(float(p99_ms), 2),
    }


class _Askers:
    """Clients that ask without a pause, and remember codes and versions."""

    def __init__(self, address: str, num_clients: int) -> None:
        self.codes: collections.Counter[str] = collections.Counter()
        self.versions: list[list[int]] = [[0] for _ in range(num_clients)]
        self._address, self._is_over = address, threading.Event()

    @contextlib.contextmanager
    def asking(self) -> Iterator["_Askers"]:
        """They ask during the block."""
        with ThreadPoolExecutor(len(self.versions)) as pool:
            asked = [pool.submit(self._ask, seen) for seen in self.versions]
            try:
                yield self
            finally:
                self._is_over.set()
        for future in asked:
            future.result()

    def wait_for(self, version: int) -> None:
        """Returns once each client had an answer of a version."""
        deadline_s = time.monotonic() + TIME_LIMIT_S
        while not all(seen[-1] == version for seen in self.versions):
            if time.monotonic() > deadline_s:
                raise ServingError(f"Clients should be answered by version {version} in time.")
            time.sleep(0.05)

    def _ask(self, seen: list[int]) -> None:
        request = recommend_request(KEYS[:3]).SerializeToString()
        with grpc.insecure_channel(self._address, _OPTIONS) as channel:
            predict = channel.unary_unary(
                fuzzing.PREDICT, response_deserializer=predict_pb2.PredictResponse.FromString
            )
            while not self._is_over.is_set():
                try:
                    version = predict(request, timeout=60).model_spec.version.value
                except grpc.RpcError as error:
                    self.codes[error.code().name] += 1
                    continue
                self.codes["OK"] += 1
                if version != seen[-1]:
                    seen.append(version)


def run_swaps(address: str, model_dir: Path, num_swaps: int) -> Outcome:
    """Publishes versions under load, then a broken one, and rolls back."""
    first = max(find_versions(model_dir))
    bundle = model_dir / str(first)
    published: list[Path] = []
    problem = refusal = ""
    askers = _Askers(address, num_clients=4)
    try:
        with askers.asking():
            for version in range(first + 1, first + 1 + num_swaps):
                publish(bundle, model_dir, version)
                published.append(model_dir / str(version))
                check_push(address, MODEL_NAME, version, published[-1], TIME_LIMIT_S)
                askers.wait_for(version)
            newest = first + num_swaps
            published.append(_publish_broken(bundle, model_dir, newest + 1))
            refusal = _refusal(address, published[-1])
            shutil.rmtree(published.pop())
            ways = [list(seen) for seen in askers.versions]
            shutil.rmtree(published.pop())
            askers.wait_for(newest - 1)
    except ServingError as error:
        problem = str(error)
        ways = [list(seen) for seen in askers.versions]
    finally:
        for path in reversed(published):
            shutil.rmtree(path)
    backwards = sum(way != sorted(way) for way in ways)
    is_good = not problem and bool(refusal) and not backwards
    return {
        "passed": is_good and askers.codes.keys() == {"OK"},
        "swaps": num_swaps,
        "codes": dict(askers.codes),
        "clients_that_saw_a_version_go_back": backwards,
        "why_the_broken_version_is_refused": refusal,
        "problem": problem,
    }


def _publish_broken(bundle: Path, model_dir: Path, version: int) -> Path:
    """A version whose graph is no graph."""
    unfinished = shutil.copytree(bundle, model_dir / f".tmp-{version}")
    (unfinished / "saved_model.pb").write_bytes(b"\xff")
    return unfinished.rename(model_dir / str(version))


def _refusal(address: str, broken: Path) -> str:
    """Why the check of a push refuses a version; "" if it does not."""
    try:
        check_push(address, MODEL_NAME, int(broken.name), broken, TIME_LIMIT_S)
    except ServingError as error:
        return str(error)
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Tries all and prints the outcome; 0 if it is good."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.serving.against",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("server", help="HOST:PORT")
    parser.add_argument("--model-dir", type=Path, help="the folder that the server watches")
    parser.add_argument("--clients", type=int, default=16, help="that ask at once")
    parser.add_argument("--seconds", type=float, default=10.0, help="that they ask for")
    parser.add_argument("--bad-requests", type=int, default=500)
    parser.add_argument("--swaps", type=int, default=5)
    options = parser.parse_args(argv)
    address = options.server
    parts = {
        "contract": run_contract(address),
        "codes": run_codes(address),
        "bad_requests": run_bad_requests(address, options.bad_requests),
        "load": run_load(address, options.clients, options.seconds),
    }
    if options.model_dir:
        parts["swaps"] = run_swaps(address, options.model_dir, options.swaps)
    passed = all(part["passed"] for part in parts.values())
    left_out = [] if options.model_dir else ["swaps: --model-dir is not given"]
    outcome = {"server": address, "passed": passed, "left_out": left_out, **parts}
    print(json.dumps(outcome, indent=2))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
