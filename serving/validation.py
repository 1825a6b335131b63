"""Trying a bundle before it is pushed: a server of its own, real requests, a clean stop.

`python -m serving.validation --bundle DIR --requests requests.json --output answers.json` serves
the bundle, asks it through `RecommendClient`, and writes the answers; whether they are right is for
the caller to judge. It is run in a process of its own, which a bad bundle may end.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pydantic

from serving.client import RecommendClient, RecommendedItem, RecommendError
from serving.errors import ServingError
from serving.local_server import serve

_REQUEST_TIMEOUT_S = 10.0


class RecommendRequest(NamedTuple):
    """One history to ask about: raw item ids, most recent last."""

    history: list[str]
    k: int
    exclude_seen: bool


def read_requests(path: Path) -> list[RecommendRequest]:
    """Reads `[{"history": ["12", "7"], "k": 10, "exclude_seen": true}, ...]`.

    Raises:
      ServingError: the file cannot be read or has another form.
    """
    form = pydantic.TypeAdapter(list[RecommendRequest])
    try:
        requests = form.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise ServingError(f"{path} should be a file of requests: {error}.") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" for part in first["loc"])
        raise ServingError(
            f"{path} should hold a list of requests, each with history, k and exclude_seen alone. "
            f"Received at {place or 'the top'}: {first['input']!r:.80} ({first['msg']})."
        ) from error
    if not requests:
        raise ServingError(f"{path} should hold a list with at least one request.")
    return requests


def validate_bundle(
    bundle: Path, requests: Sequence[RecommendRequest]
) -> list[list[RecommendedItem]]:
    """Serves a bundle, asks it every request over gRPC, and stops the server.

    Args:
      bundle: SavedModel folder.
      requests: what to ask.

    Returns:
      The answers, in the order of the requests.

    Raises:
      ServingError: the bundle cannot be served, or a request failed.
    """
    if not bundle.is_dir():
        raise ServingError(f"The bundle should be a folder. Received: {bundle}.")
    answers = []
    with tempfile.TemporaryDirectory(prefix="adarec-validation-") as model_dir:
        (Path(model_dir) / "1").symlink_to(bundle.resolve(), target_is_directory=True)
        try:
            server = serve(model_dir, port=0)
        except ServingError as error:
            raise ServingError(f"The bundle cannot be served: {error}") from error
        with server, RecommendClient(server.address, timeout_s=_REQUEST_TIMEOUT_S) as client:
            for position, request in enumerate(requests):
                try:
                    answers += client.recommend([request.history], request.k, request.exclude_seen)
                except RecommendError as error:
                    raise ServingError(f"Request {position} failed: {error}") from error
    return answers


def main(argv: Sequence[str] | None = None) -> int:
    """Validates one bundle and writes its answers as JSON."""
    parser = argparse.ArgumentParser(prog="python -m serving.validation", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="SavedModel folder")
    parser.add_argument("--requests", type=Path, required=True, help="JSON file to read")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--time-limit-s", type=float, default=60.0, help="for all of it")
    args = parser.parse_args(argv)
    watchdog = threading.Timer(args.time_limit_s, _give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        requests = read_requests(args.requests)
        answers = validate_bundle(args.bundle, requests)
    except ServingError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    finally:
        watchdog.cancel()
    text = json.dumps([[item._asdict() for item in answer] for answer in answers])
    args.output.write_text(text + "\n", encoding="utf-8")
    return 0


def _give_up() -> None:
    """Ends the process from a thread, since nothing interrupts TensorFlow while it loads."""
    print(
        "Error: The bundle should be loaded, answer and be unloaded within the time limit. Raise "
        "it if the machine is slow.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
