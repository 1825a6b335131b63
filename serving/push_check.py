"""Seeing a pushed version answer: the running server is asked what the bundle itself brings.

`python -m serving.push_check --server HOST:PORT --version N --bundle DIR` sends the server the
bundle's warm-up requests until the version answers. Its state does not decide: a server calls a
version AVAILABLE that lacks its variables and fails every request, and TensorFlow Serving calls one
LOADING for five minutes that will never load. The state says why no answer came.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from serving.client import RecommendClient, RecommendError, VersionStatus
from serving.connection import read_credentials
from serving.errors import ModelError, ServingError
from serving.loaded_model import load_model, read_warmup_requests
from serving.messages import PredictRequest

MAX_REQUESTS = 10
_REQUEST_TIMEOUT_S = 10.0
_LOOK_INTERVAL_S = 0.2
# Longer than a bundle takes to load: after that it is loaded here, to see why it does not there.
_LOADING_TIME_S = 5.0
_LOADS_HERE = (
    " The bundle loads here: the server's log says why it does not there (memory, rights of the "
    "folder, `--enable_batching`)."
)


def check_push(
    server: str,
    model_name: str,
    version: int,
    bundle: Path,
    time_limit_s: float,
    credentials: grpc.ChannelCredentials | None = None,
) -> int:
    """Sends a version real requests, the first of the bundle's warm-up file, until it answers.

    Args:
      server: HOST:PORT of the running server.
      model_name: name the model is served under.
      version: the version that has to answer.
      bundle: its folder, with warm-up requests.
      time_limit_s: seconds until the version has to answer.
      credentials: for TLS; None for plain text.

    Returns:
      Number of requests answered.

    Raises:
      ServingError: the bundle has no requests; or the version failed to load, did not appear in
        time, or did not answer.
    """
    requests = _first_requests(bundle)
    deadline_s = time.monotonic() + time_limit_s
    with RecommendClient(server, model_name, _REQUEST_TIMEOUT_S, credentials=credentials) as client:
        watch = _Watch(client, version, bundle)
        while seen := watch.ask(requests[0]):
            if time.monotonic() > deadline_s:
                raise ServingError(
                    f"The server at {server} should serve version {version} of {model_name!r} "
                    f"within the time limit; {seen}"
                )
            time.sleep(_LOOK_INTERVAL_S)
        for position, request in enumerate(requests[1:], 1):
            try:
                _ask(client, request, version, position)
            except RecommendError as error:
                raise _failed(position, error) from error
    return len(requests)


def _first_requests(bundle: Path) -> list[Any]:
    requests = list(itertools.islice(read_warmup_requests(bundle), MAX_REQUESTS))
    if not requests:
        raise ServingError(f"{bundle} should bring at least one warm-up request.")
    return [PredictRequest.FromString(request.SerializeToString()) for request in requests]


class _Watch:
    """What is known of a version that does not answer yet."""

    def __init__(self, client: RecommendClient, version: int, bundle: Path) -> None:
        self._client, self._version, self._bundle = client, version, bundle
        self._loading_since_s: float | None = None
        self._loads_here = False

    def ask(self, request: Any) -> str:
        """Asks once; returns "" for an answer, or what was seen in its place and may pass.

        Raises:
          ServingError: there will be no answer.
        """
        status = None
        try:
            status = self._status()
            _ask(self._client, request, self._version, 0)
        except RecommendError as error:
            if error.code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED"):
                return f"{error} ({error.details})"
            if error.code != "NOT_FOUND" or (status and status.state == "AVAILABLE"):
                raise _failed(0, error) from error
            return self._explain(status)
        return ""

    def _status(self) -> VersionStatus | None:
        try:
            statuses = self._client.model_status()
        except RecommendError as error:
            if error.code != "NOT_FOUND":  # which it is until the server looks at the folder
                raise
            return None
        return next((status for status in statuses if status.version == self._version), None)

    def _explain(self, status: VersionStatus | None) -> str:
        """What the state of a version that does not answer means."""
        if status is None:
            return "it has not looked at the folder, or watches another one."
        if status.error_code or status.state == "END":
            reason = status.error_message or "it was unloaded"
            raise ServingError(f"The server does not serve version {self._version}: {reason}")
        if status.state != "LOADING":
            return f"its state is {status.state}."
        now_s = time.monotonic()
        self._loading_since_s = self._loading_since_s or now_s
        if self._loads_here or now_s - self._loading_since_s < _LOADING_TIME_S:
            return f"its state is LOADING.{_LOADS_HERE if self._loads_here else ''}"
        try:
            load_model(self._bundle, self._version)
        except ModelError as error:
            raise ServingError(
                f"The server is loading version {self._version} without end, and it does not load "
                f"here either: {error}"
            ) from error
        self._loads_here = True
        return f"its state is LOADING.{_LOADS_HERE}"


def _ask(client: RecommendClient, request: Any, version: int, position: int) -> None:
    request.model_spec.version.value = version
    response = client.predict(request)
    answered_by = response.model_spec.version.value
    if answered_by != version or not response.outputs:
        raise ServingError(
            f"Request {position} should be answered by version {version} with outputs. Received: "
            f"version {answered_by}, outputs {sorted(response.outputs)}."
        )


def _failed(position: int, error: RecommendError) -> ServingError:
    return ServingError(f"Request {position} failed: {error.details} ({error.code})")


def main(argv: Sequence[str] | None = None) -> int:
    """Checks one version; exits with 1 and one line if it does not answer."""
    parser = argparse.ArgumentParser(prog="python -m serving.push_check", description=__doc__)
    parser.add_argument("--server", required=True, help="HOST:PORT")
    parser.add_argument("--model-name", default="student")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the version")
    parser.add_argument("--time-limit-s", type=float, default=120.0)
    parser.add_argument("--tls-ca", default="", help="connect with TLS, trusting this PEM file")
    parser.add_argument("--tls-cert", default="", help="PEM file: a certificate of one's own")
    parser.add_argument("--tls-key", default="", help="PEM file")
    args = vars(parser.parse_args(argv))
    tls = {name: args.pop(name) for name in ("tls_ca", "tls_cert", "tls_key")}
    try:
        num_answered = check_push(**args, credentials=read_credentials(**tls))
    except (ServingError, RecommendError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Version {args['version']} answered {num_answered} requests.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
