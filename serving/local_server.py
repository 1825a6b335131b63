"""The embedded model server: TensorFlow Serving's gRPC API in this process, nothing to install.

`serve` starts it and returns; `python -m serving.local_server --model-dir DIR --port N` runs it
until SIGTERM or SIGINT, then answers what it has accepted and exits with 0. It offers
PredictionService (Predict, GetModelMetadata), ModelService (GetModelStatus) and gRPC health checks.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from types import FrameType, TracebackType

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.drain import DrainGate
from serving.model_versions import ModelVersions, find_versions
from serving.services import ModelService, PredictionService

MAX_MESSAGE_BYTES = 64 * 2**20
# TensorFlow Serving's default (`--grpc_max_threads`). Requests beyond it wait in a queue; beyond
# the queue they are refused with RESOURCE_EXHAUSTED, which clients retry.
MAX_THREADS = 4 * (os.cpu_count() or 1)
MAX_CONCURRENT_REQUESTS = 1000
DRAIN_S = 30.0

# TensorFlow Serving registers the short names; gRPC's own convention is the full ones.
_HEALTH_NAMES = (
    "",
    "PredictionService",
    "ModelService",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
)

logger = logging.getLogger(__name__)


class ServingError(ValueError):
    """The server cannot start as asked; the message says why and what to do."""


class LocalServer:
    """A running server. Made by `serve`; stop it with `stop` or by leaving its `with` block.

    Args:
      host: address to listen on.
      port: port to listen on; 0 takes any free one.
      model_name: name that requests give.
      versions: the model, with a version loaded.
      poll_interval_s: seconds between two looks at the model's folder.

    Raises:
      ServingError: the address cannot be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        model_name: str,
        versions: ModelVersions,
        poll_interval_s: float,
    ) -> None:
        self.model_name = model_name
        self._versions = versions
        self._health = health.HealthServicer()
        self._gate = DrainGate()
        self._grpc_server = _build_grpc_server(model_name, versions, self._health, self._gate)
        self.port = _bind(self._grpc_server, host, port)
        self.address = _join_address(host, self.port)
        self._stopping = threading.Event()
        self._watcher = threading.Thread(
            target=self._watch, args=(poll_interval_s,), name="model-versions", daemon=True
        )
        for name in _HEALTH_NAMES:
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._grpc_server.start()
        self._watcher.start()

    @property
    def version(self) -> int | None:
        """The version being served."""
        return self._versions.current_version

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Refuses new requests, answers the accepted ones, and returns when that is done.

        Args:
          drain_s: seconds after which requests still under way are cancelled.
        """
        self._stopping.set()
        self._health.enter_graceful_shutdown()
        self._gate.close()
        self._grpc_server.stop(drain_s).wait()
        self._watcher.join()

    def _watch(self, poll_interval_s: float) -> None:
        while not self._stopping.wait(poll_interval_s):
            try:
                self._versions.refresh()
            except OSError as error:
                logger.warning("Cannot look for new versions, the old one stays: %s", error)

    def __enter__(self) -> "LocalServer":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def serve(
    model_dir: str | os.PathLike[str],
    model_name: str = "student",
    port: int = 8500,
    host: str = "127.0.0.1",
    poll_interval_s: float = 1.0,
) -> LocalServer:
    """Starts a server for the newest version in a folder and follows the folder from then on.

    Args:
      model_dir: folder with one numbered SavedModel folder per version.
      model_name: name that requests give.
      port: port to listen on; 0 takes any free one, told by the result's `port`.
      host: address to listen on; "0.0.0.0" for every IPv4 address of the machine.
      poll_interval_s: seconds between two looks at the folder.

    Returns:
      The server, already answering.

    Raises:
      ServingError: a bad argument, no folder, no version that loads, or the port is in use.
    """
    if not model_name:
        raise ServingError("`model_name` should not be empty.")
    if not 0 <= port <= 65535:
        raise ServingError(f"`port` should be between 0 and 65535. Received: port={port}.")
    if not poll_interval_s > 0:
        raise ServingError(
            f"`poll_interval_s` should be positive. Received: poll_interval_s={poll_interval_s}."
        )
    versions = _load_first_version(Path(model_dir).absolute(), model_name, poll_interval_s)
    return LocalServer(host, port, model_name, versions, poll_interval_s)


def shutdown_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set; the same signal again ends the process at once.

    Call it in the main thread before `serve`, so that a signal during loading counts too.
    """
    event = threading.Event()

    def request_shutdown(signum: int, frame: FrameType | None) -> None:
        signal.signal(signum, signal.SIG_DFL)
        event.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, request_shutdown)
    return event


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m serving.local_server", description=__doc__)
    parser.add_argument("--model-dir", required=True, help="folder with numbered versions")
    parser.add_argument("--model-name", default="student")
    parser.add_argument("--port", type=int, default=8500, help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--poll-interval-s", type=float, default=1.0)
    parser.add_argument("--port-file", type=Path, help="write the port here once ready")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    shutdown_requested = shutdown_event()
    try:
        server = serve(args.model_dir, args.model_name, args.port, args.host, args.poll_interval_s)
    except ServingError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    with server:
        ready = {"address": server.address, "model_name": server.model_name}
        print(json.dumps({**ready, "version": server.version}), flush=True)
        if args.port_file:
            _write_atomically(args.port_file, f"{server.port}\n")
        shutdown_requested.wait()
    return 0


def _load_first_version(model_dir: Path, model_name: str, poll_interval_s: float) -> ModelVersions:
    if not model_dir.is_dir():
        raise ServingError(
            f"`model_dir` should be a folder of pushed models. Received: {model_dir}, which is not "
            "a folder. Push a model there with `adarec run` first."
        )
    versions = ModelVersions(model_name, model_dir)
    try:
        if not find_versions(model_dir):
            raise ServingError(
                f"`model_dir` should hold a folder with a number for a name, one per version, and "
                f"{model_dir} has none. Push a model there with `adarec run` first."
            )
        versions.refresh()
        while versions.current_version is None and versions.is_waiting_for_a_copy:
            time.sleep(poll_interval_s)
            versions.refresh()
    except OSError as error:
        raise ServingError(f"`model_dir` should be readable: {error}") from error
    if versions.current_version is None:
        newest = versions.statuses()[0]
        raise ServingError(
            f"No version in {model_dir} can be served; the newest one failed with: "
            f"{newest.status.error_message} Push a new version."
        )
    return versions


def _build_grpc_server(
    model_name: str,
    versions: ModelVersions,
    health_servicer: health.HealthServicer,
    gate: DrainGate,
) -> grpc.Server:
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=MAX_THREADS, thread_name_prefix="serving"),
        interceptors=[gate],
        maximum_concurrent_rpcs=MAX_CONCURRENT_REQUESTS,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            # gRPC lets two servers share a port unless told otherwise; each would then get half of
            # the requests.
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(model_name, versions), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(model_name, versions), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    return server


def _bind(server: grpc.Server, host: str, port: int) -> int:
    address = _join_address(host, port)
    try:
        return int(server.add_insecure_port(address))
    except RuntimeError as error:
        raise ServingError(
            f"Cannot listen on {address}: the port is in use or the address is not this "
            "machine's. Stop the server that uses it, or choose another port."
        ) from error


def _join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write_atomically(path: Path, text: str) -> None:
    """Whoever waits for the file never reads half of it."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
