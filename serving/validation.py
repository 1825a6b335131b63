"""Trying a bundle before it is pushed: a server of its own, real requests, a clean stop.

`python -m serving.validation --bundle DIR --requests requests.json --output answers.json` serves
the bundle from a process of its own on a free port, asks it through `RecommendClient`, and writes
the answers. Whether they are the right answers is for the caller to judge.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import pydantic

from serving.client import RecommendClient, RecommendedItem, RecommendError

_MODEL_NAME = "student"
_REQUEST_TIMEOUT_S = 10.0


class ValidationError(RuntimeError):
    """A bundle that cannot be served, or requests that cannot be read."""


class RecommendRequest(NamedTuple):
    """One history to ask about: raw item ids, most recent last."""

    history: list[str]
    k: int
    exclude_seen: bool


def read_requests(path: Path) -> list[RecommendRequest]:
    """Reads `[{"history": ["12", "7"], "k": 10, "exclude_seen": true}, ...]`.

    Raises:
      ValidationError: the file cannot be read or has another form.
    """
    form = pydantic.TypeAdapter(list[RecommendRequest])
    try:
        requests = form.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise ValidationError(f"{path} should be a file of requests: {error}.") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" for part in first["loc"])
        raise ValidationError(
            f"{path} should hold a list of requests, each with history, k and exclude_seen alone. "
            f"Received at {place or 'the top'}: {first['input']!r:.80} ({first['msg']})."
        ) from error
    if not requests:
        raise ValidationError(f"{path} should hold a list with at least one request.")
    return requests


def validate_bundle(
    bundle: Path, requests: Sequence[RecommendRequest], time_limit_s: float = 60.0
) -> list[list[RecommendedItem]]:
    """Serves a bundle from another process and asks it every request over gRPC.

    Args:
      bundle: SavedModel folder.
      requests: what to ask.
      time_limit_s: seconds for start, requests and stop together.

    Returns:
      The answers, in the order of the requests.

    Raises:
      ValidationError: the server did not start, did not answer, or did not stop cleanly.
    """
    if not bundle.is_dir():
        raise ValidationError(f"The bundle should be a folder. Received: {bundle}.")
    deadline_s = time.monotonic() + time_limit_s
    with tempfile.TemporaryDirectory(prefix="adarec-validation-") as model_dir:
        (Path(model_dir) / "1").symlink_to(bundle.resolve(), target_is_directory=True)
        # Spawned, not forked: neither gRPC nor TensorFlow works on in a forked process.
        processes = multiprocessing.get_context("spawn")
        from_server, to_parent = processes.Pipe(duplex=False)
        server = processes.Process(target=_serve, args=(model_dir, to_parent))
        server.start()
        to_parent.close()  # the server's end alone is open: it closes when the server ends
        try:
            address = _wait_for_address(server, from_server, deadline_s)
            answers = _ask(address, requests, deadline_s)
            _stop(server, deadline_s)
        finally:
            server.kill()
            server.join()
    return answers


def main(argv: Sequence[str] | None = None) -> int:
    """Validates one bundle and writes its answers as JSON."""
    parser = argparse.ArgumentParser(prog="python -m serving.validation", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="SavedModel folder")
    parser.add_argument("--requests", type=Path, required=True, help="JSON file to read")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--time-limit-s", type=float, default=60.0)
    args = parser.parse_args(argv)
    # Leaves through `finally`, so that the server is not left behind.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    try:
        requests = read_requests(args.requests)
        answers = validate_bundle(args.bundle, requests, args.time_limit_s)
    except ValidationError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    text = json.dumps([[item._asdict() for item in answer] for answer in answers])
    args.output.write_text(text + "\n", encoding="utf-8")
    return 0


def _serve(model_dir: str, to_parent: Connection) -> None:
    """The server's process: tells its address, or why it has none, and serves until SIGTERM."""
    # TensorFlow is imported here alone: the parent needs none.
    from serving.local_server import ServingError, serve, shutdown_event

    shutdown_requested = shutdown_event()
    try:
        server = serve(model_dir, _MODEL_NAME, port=0)
    except ServingError as error:
        to_parent.send(("", str(error)))
        return
    with server:
        to_parent.send((server.address, ""))
        shutdown_requested.wait()


def _wait_for_address(server: BaseProcess, from_server: Connection, deadline_s: float) -> str:
    if not from_server.poll(max(0.0, deadline_s - time.monotonic())):
        raise ValidationError(
            "The server did not start within the time limit. Raise it if the machine is slow."
        )
    try:
        address, problem = from_server.recv()
    except EOFError:
        server.join()
        address, problem = "", f"its server ended with exit code {server.exitcode}."
    if problem:
        raise ValidationError(f"The bundle cannot be served: {problem}")
    return str(address)


def _ask(
    address: str, requests: Sequence[RecommendRequest], deadline_s: float
) -> list[list[RecommendedItem]]:
    answers = []
    with RecommendClient(address, _MODEL_NAME, _REQUEST_TIMEOUT_S) as client:
        for position, request in enumerate(requests):
            if time.monotonic() > deadline_s:
                raise ValidationError(
                    f"The time limit passed after {position} of {len(requests)} requests."
                )
            try:
                answers += client.recommend([request.history], request.k, request.exclude_seen)
            except RecommendError as error:
                raise ValidationError(f"Request {position} failed: {error}") from error
    return answers


def _stop(server: BaseProcess, deadline_s: float) -> None:
    server.terminate()
    server.join(max(0.0, deadline_s - time.monotonic()))
    if server.exitcode is None:
        raise ValidationError("The server did not stop within the time limit.")
    if server.exitcode != 0:
        raise ValidationError(
            f"The server should exit with 0 when it is stopped. Received: {server.exitcode}."
        )


if __name__ == "__main__":
    sys.exit(main())
