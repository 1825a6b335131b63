"""Seeing a pushed version answer: the running server is asked what the bundle itself brings.

`python -m serving.push_check --server HOST:PORT --version N --bundle DIR` waits until the server
has loaded the version and sends it the bundle's warm-up requests. That a server calls a version
AVAILABLE proves nothing: one without its variables is, too, and then fails every request.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from serving.client import RecommendClient, RecommendError
from serving.connection import read_credentials
from serving.errors import ServingError
from serving.loaded_model import read_warmup_requests
from serving.messages import PredictRequest

MAX_REQUESTS = 10
_REQUEST_TIMEOUT_S = 10.0
_LOOK_INTERVAL_S = 0.2


def check_push(
    server: str,
    model_name: str,
    version: int,
    bundle: Path,
    time_limit_s: float,
    credentials: grpc.ChannelCredentials | None = None,
) -> int:
    """Waits for a version and sends it real requests, the first of the bundle's warm-up file.

    Args:
      server: HOST:PORT of the running server.
      model_name: name the model is served under.
      version: the version that has to answer.
      bundle: its folder, with warm-up requests.
      time_limit_s: seconds until the version has to be available.
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
        seen = _wait_until_available(client, version, deadline_s)
        if seen:
            raise ServingError(
                f"The server at {server} should serve version {version} of {model_name!r} within "
                f"the time limit; {seen}."
            )
        for position, request in enumerate(requests):
            _ask(client, request, version, position)
    return len(requests)


def _first_requests(bundle: Path) -> list[Any]:
    requests = list(itertools.islice(read_warmup_requests(bundle), MAX_REQUESTS))
    if not requests:
        raise ServingError(f"{bundle} should bring at least one warm-up request.")
    return [PredictRequest.FromString(request.SerializeToString()) for request in requests]


def _wait_until_available(client: RecommendClient, version: int, deadline_s: float) -> str:
    """Returns "" once the version is available, and at the deadline what was seen instead."""
    seen = "it has not looked at the folder, or watches another one"
    while time.monotonic() < deadline_s:
        statuses = {}
        try:
            statuses = {status.version: status for status in client.model_status()}
        except RecommendError as error:
            if error.code == "UNAVAILABLE":
                seen = f"no server answers there ({error.details}); see its TLS and yours"
            elif error.code != "NOT_FOUND":  # which it is until the server looks at the folder
                raise ServingError(str(error)) from error
        if status := statuses.get(version):
            if status.state == "AVAILABLE":
                return ""
            if status.state == "END":
                reason = status.error_message or "it was unloaded"
                raise ServingError(f"The server does not serve version {version}: {reason}")
            seen = f"its state is {status.state}"
        time.sleep(_LOOK_INTERVAL_S)
    return seen


def _ask(client: RecommendClient, request: Any, version: int, position: int) -> None:
    request.model_spec.version.value = version
    try:
        response = client.predict(request)
    except RecommendError as error:
        raise ServingError(f"Request {position} failed: {error}") from error
    answered_by = response.model_spec.version.value
    if answered_by != version or not response.outputs:
        raise ServingError(
            f"Request {position} should be answered by version {version} with outputs. Received: "
            f"version {answered_by}, outputs {sorted(response.outputs)}."
        )


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
