"""Trying a bundle before it is pushed: a server of its own, real requests, a clean stop.

`python -m serving.validation --bundle DIR --requests requests.json --output answers.json` serves
the bundle from a subprocess on a free port, asks it through `RecommendClient`, and writes the
answers. Whether they are the right answers is for the caller to judge.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from serving.client import RecommendClient, RecommendedItem, RecommendError

_MODEL_NAME = "student"
_REQUEST_TIMEOUT_S = 10.0
_LOOK_INTERVAL_S = 0.05


class ValidationError(RuntimeError):
    """A bundle that cannot be served, or requests that cannot be read."""


class RecommendRequest(NamedTuple):
    """One history to ask about: raw item ids, most recent last."""

    history: list[str]
    k: int
    exclude_seen: bool


def read_requests(path: Path) -> list[RecommendRequest]:
    """Reads `[{"history": ["12", "7"], "k": 10, "exclude_seen": true}, ...]`.

    Values are checked when they are sent.

    Raises:
      ValidationError: the file cannot be read or has another form.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValidationError(f"Cannot read requests from {path}: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise ValidationError(f"{path} should hold a list with at least one request.")
    fields = set(RecommendRequest._fields)
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict) or set(entry) != fields:
            raise ValidationError(
                f"{path}: request {position} should have exactly the keys "
                f"{', '.join(RecommendRequest._fields)}. Received: {entry!r}."
            )
    return [RecommendRequest(**entry) for entry in entries]


def validate_bundle(
    bundle: Path, requests: Sequence[RecommendRequest], time_limit_s: float = 60.0
) -> list[list[RecommendedItem]]:
    """Serves a bundle from a subprocess and asks it every request over gRPC.

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
    with tempfile.TemporaryDirectory(prefix="adarec-validation-") as scratch:
        model_dir = Path(scratch) / "models"
        model_dir.mkdir()
        (model_dir / "1").symlink_to(bundle.resolve(), target_is_directory=True)
        port_file, log_file = Path(scratch) / "port", Path(scratch) / "server.log"
        server = _start_server(model_dir, port_file, log_file)
        try:
            port = _wait_for_port(server, port_file, log_file, deadline_s)
            answers = _ask(port, requests, deadline_s)
            _stop_server(server, log_file, deadline_s)
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
    return answers


def main(argv: Sequence[str] | None = None) -> int:
    """Validates one bundle and writes its answers as JSON."""
    parser = argparse.ArgumentParser(prog="python -m serving.validation", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="SavedModel folder")
    parser.add_argument("--requests", type=Path, required=True, help="JSON file to read")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--time-limit-s", type=float, default=60.0)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        requests = read_requests(args.requests)
        answers = validate_bundle(args.bundle, requests, args.time_limit_s)
    except ValidationError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    text = json.dumps([[item._asdict() for item in answer] for answer in answers])
    args.output.write_text(text + "\n", encoding="utf-8")
    return 0


def _start_server(model_dir: Path, port_file: Path, log_file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "serving.local_server", "--model-dir", str(model_dir)]
    command += ["--model-name", _MODEL_NAME, "--port", "0", "--port-file", str(port_file)]
    # The subprocess has to find this package wherever this process was started from.
    paths = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with log_file.open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )


def _wait_for_port(
    server: subprocess.Popen[bytes], port_file: Path, log_file: Path, deadline_s: float
) -> int:
    while not port_file.exists():
        if server.poll() is not None:
            raise ValidationError(f"The bundle cannot be served: {_last_message(log_file)}")
        if time.monotonic() > deadline_s:
            raise ValidationError(
                "The server did not start within the time limit. Raise it if the machine is slow."
            )
        time.sleep(_LOOK_INTERVAL_S)
    return int(port_file.read_text(encoding="utf-8"))


def _ask(
    port: int, requests: Sequence[RecommendRequest], deadline_s: float
) -> list[list[RecommendedItem]]:
    answers = []
    with RecommendClient(f"127.0.0.1:{port}", _MODEL_NAME, _REQUEST_TIMEOUT_S) as client:
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


def _stop_server(server: subprocess.Popen[bytes], log_file: Path, deadline_s: float) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        exit_code = server.wait(timeout=max(0.0, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ValidationError("The server did not stop within the time limit.") from error
    if exit_code != 0:
        raise ValidationError(
            f"The server should exit with 0 when it is stopped. Received: {exit_code}, after: "
            f"{_last_message(log_file)}"
        )


def _last_message(log_file: Path) -> str:
    """The server's own error line if it wrote one, otherwise its last line."""
    lines = log_file.read_text(encoding="utf-8", errors="replace").split("\n")
    written = [line for line in lines if line.strip()] or ["it wrote nothing."]
    errors = [line for line in written if line.startswith("Error: ")]
    return (errors or written)[-1].removeprefix("Error: ")


def _exit_on_signal(signum: int, frame: FrameType | None) -> None:
    """Leaves through `finally`, so that the server is not left behind."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
