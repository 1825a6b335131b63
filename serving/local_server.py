"""The embedded model server: TensorFlow Serving's gRPC API in this process, nothing to install.

`serve` starts it and returns; `adarec serve` runs it until SIGTERM or SIGINT. It offers Predict,
GetModelMetadata, GetModelStatus and HandleReloadConfigRequest, gRPC health checks and reflection,
and on a port of their own metrics for Prometheus.
"""

import os
import signal
import threading
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any
from wsgiref.simple_server import WSGIServer

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.batching import Batcher
from serving.errors import ServingError
from serving.interceptors import RequestInterceptor, ServerMetrics, open_access_log
from serving.loaded_model import LoadedModel
from serving.model_config import ModelConfig
from serving.model_versions import LoadRetries
from serving.served_models import ServedModels
from serving.server_options import Limits, ServerOptions
from serving.services import ModelService, PredictionService, Runner

_SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_HEALTH_NAMES = ("", "PredictionService", "ModelService")  # as TensorFlow Serving


class LocalServer:
    """A running server. Made by `serve`; stop it with `stop` or by leaving its `with` block.

    Args:
      models: with every model of the list loaded.
      options: how to listen and what to accept.

    Raises:
      ServingError: the address cannot be bound.
    """

    def __init__(self, models: ServedModels, options: ServerOptions) -> None:
        self._models = models
        self._options = options
        self._metrics = ServerMetrics(models)
        self._health = health.HealthServicer()
        self._access_log = open_access_log(options.access_log)
        self._interceptor = RequestInterceptor(self._metrics, self._access_log)
        self._grpc_server = self._build_grpc_server()
        self.port = _bind(self._grpc_server, options)
        self.address = _join_address(options.host, self.port)
        self._metrics_port = self._open_metrics_port()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="model-versions", daemon=True)
        for name in _HEALTH_NAMES:
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._grpc_server.start()
        self._watcher.start()

    @property
    def available_versions(self) -> dict[str, list[int]]:
        """The versions that answer requests, oldest first, by model name."""
        return self._models.available_versions

    def stop(self) -> None:
        """Refuses new requests, answers the accepted ones, and returns when that is done."""
        self._stopping.set()
        self._health.enter_graceful_shutdown()
        self._interceptor.close()
        self._grpc_server.stop(self._options.drain_s).wait()
        self._watcher.join()
        if self._metrics_port:
            self._metrics_port.shutdown()
            self._metrics_port.server_close()
        for handler in self._access_log.handlers:
            handler.close()

    def _build_grpc_server(self) -> grpc.Server:
        options = self._options
        server = grpc.server(
            futures.ThreadPoolExecutor(options.num_threads, thread_name_prefix="serving"),
            interceptors=[self._interceptor],
            maximum_concurrent_rpcs=options.max_concurrent_requests,
            options=[
                ("grpc.max_receive_message_length", options.max_message_bytes),
                ("grpc.max_send_message_length", options.max_message_bytes),
                # gRPC lets two servers share a port unless told otherwise; each would then get half
                # of the requests.
                ("grpc.so_reuseport", 0),
            ],
        )
        run: Runner = LoadedModel.run
        if options.batch_rows:
            run = Batcher(
                options.batch_rows,
                options.batch_wait_ms / 1000,
                options.batch_padded_inputs,
                self._metrics.batch_rows.observe,
            ).run
        predictions = PredictionService(self._models, run, Limits(options.limits))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(predictions, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(self._models), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection([*_SERVICES, reflection.SERVICE_NAME], server)
        return server

    def _open_metrics_port(self) -> WSGIServer | None:
        host, port = self._options.host, self._options.metrics_port
        if not port:
            return None
        try:
            server, _ = start_http_server(port, host, self._metrics.registry)
        except OSError as error:
            raise ServingError(
                f"Cannot listen on {host}:{port} for metrics: {error}. Choose another port."
            ) from error
        return server

    def _watch(self) -> None:
        while not self._stopping.wait(self._options.poll_interval_s):
            self._models.refresh()

    def __enter__(self) -> "LocalServer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def serve(
    model_dir: str | os.PathLike[str], model_name: str = "student", **options: Any
) -> LocalServer:
    """Starts a server for the newest version in a folder and follows the folder from then on.

    Args:
      model_dir: folder with one numbered SavedModel folder per version.
      model_name: name that requests give.
      **options: fields of `ServerOptions`.

    Returns:
      The server, already answering.

    Raises:
      ServingError: a bad argument, no folder, no version that loads, or the port is in use.
    """
    if not model_name:
        raise ServingError("`model_name` should not be empty.")
    config = ModelConfig(name=model_name, base_path=str(Path(model_dir).absolute()))
    return serve_models([config], ServerOptions(**options))


def serve_models(configs: Sequence[ModelConfig], options: ServerOptions) -> LocalServer:
    """Starts a server for a list of models and follows their folders from then on.

    Args:
      configs: the models, at least one.
      options: how to listen and what to accept.

    Returns:
      The server, already answering.

    Raises:
      ServingError: a model cannot be served, or the address cannot be bound.
    """
    retries = LoadRetries(options.load_retries, options.load_retry_interval_s)
    models = ServedModels(options.poll_interval_s, retries=retries)
    models.start(configs)
    return LocalServer(models, options)


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


def _bind(server: grpc.Server, options: ServerOptions) -> int:
    address = _join_address(options.host, options.port)
    try:
        if options.tls_cert:
            return int(server.add_secure_port(address, _credentials(options)))
        return int(server.add_insecure_port(address))
    except RuntimeError as error:
        raise ServingError(
            f"Cannot listen on {address}: the port is in use, the address is not this machine's, "
            "or the TLS files are no certificate and its key. Stop the server that uses the port, "
            "or choose another one."
        ) from error


def _credentials(options: ServerOptions) -> grpc.ServerCredentials:
    try:
        key, cert = Path(options.tls_key).read_bytes(), Path(options.tls_cert).read_bytes()
        ca = Path(options.tls_client_ca).read_bytes() if options.tls_client_ca else None
    except OSError as error:
        raise ServingError(f"The file for TLS should be readable: {error}") from error
    return grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=ca is not None)


def _join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
