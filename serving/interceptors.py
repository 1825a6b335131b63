"""Every request passes here: it is counted, timed, logged, and refused once the server stops.

gRPC cancels what has arrived but was not yet handed to a thread when its server stops, and a client
cannot tell that from a request that was begun. Refused here first, it sees UNAVAILABLE and asks
again.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.errors import ServingError
from serving.served_models import ServedModels

_API_PREFIX = "/tensorflow.serving."
_SHUTTING_DOWN = (grpc.StatusCode.UNAVAILABLE, "The server is shutting down.")
_QUIET_S = 0.05
_MAX_REFUSING_S = 1.0

# From a fifth of a millisecond, what a small model takes, to client timeouts.
_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class ServerMetrics(Collector):
    """The counters of one server, for Prometheus, in a registry of their own.

    Args:
      models: whose versions are told.
    """

    def __init__(self, models: ServedModels) -> None:
        self._models = models
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "adarec_requests", "Requests answered.", ["method", "code"], registry=registry
        )
        self.seconds = Histogram(
            "adarec_request_seconds",
            "From a thread taking up a request to its answer.",
            ["method"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_rows = Histogram(
            "adarec_batch_rows", "Rows of one batched run.", buckets=_ROWS, registry=registry
        )
        self.in_progress = Gauge(
            "adarec_requests_in_progress", "Requests a thread works on.", registry=registry
        )
        self.registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The versions that answer requests, looked up when Prometheus asks."""
        labels = ["model", "version"]
        family = GaugeMetricFamily("adarec_model_available", "1 a version served.", labels=labels)
        for name, versions in self._models.available_versions.items():
            for version in versions:
                family.add_metric([name, str(version)], 1)
        yield family


class RequestInterceptor(grpc.ServerInterceptor):
    """Counts, times and logs every request of the API until it is closed, and then refuses it.

    Health checks and reflection pass untouched. A line of the log is one JSON object, of names,
    sizes, code and time, never of what a history holds.

    Args:
      metrics: what counts.
      access_log: gets one line a request; a logger without a handler makes none.
    """

    def __init__(self, metrics: ServerMetrics, access_log: logging.Logger) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._is_closed = False
        self._refused = threading.Event()

    def close(self) -> None:
        """Refuses from now on; returns when callers have noticed, after a second at most."""
        self._is_closed = True
        deadline_s = time.monotonic() + _MAX_REFUSING_S
        while self._refused.wait(_QUIET_S) and time.monotonic() < deadline_s:
            self._refused.clear()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Chooses the handler of one request.

        Args:
          continuation: finds the handler of a service.
          handler_call_details: with the method asked for.
        """
        method = handler_call_details.method
        handler = continuation(handler_call_details)
        if handler is None or not method.startswith(_API_PREFIX):
            return handler
        if self._is_closed:
            self._refused.set()
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: context.abort(*_SHUTTING_DOWN)
            )
        return grpc.unary_unary_rpc_method_handler(
            self._observed(handler.unary_unary, method.rpartition("/")[2]),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _observed(
        self, answer: Callable[[Any, Any], Any], method: str
    ) -> Callable[[Any, Any], Any]:
        def answer_and_observe(request: Any, context: grpc.ServicerContext) -> Any:
            started_s = time.perf_counter()
            response = None
            code = grpc.StatusCode.UNKNOWN  # what gRPC answers if a handler breaks
            try:
                with self._metrics.in_progress.track_inprogress():
                    response = answer(request, context)
                code = grpc.StatusCode.OK
            except Exception:
                code = context.code() or code  # set by `context.abort`
                raise
            finally:
                seconds = time.perf_counter() - started_s
                self._metrics.requests.labels(method, code.name).inc()
                self._metrics.seconds.labels(method).observe(seconds)
                if self._access_log.handlers:
                    line = {
                        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                        "method": method,
                        "code": code.name,
                        "ms": round(seconds * 1000, 3),
                        **_describe(request, response, context),
                    }
                    self._access_log.info(json.dumps(line))
            return response

        return answer_and_observe


def _describe(request: Any, response: Any, context: grpc.ServicerContext) -> dict[str, Any]:
    """Names and sizes of a request and its answer, for the log; a failed one has no response."""
    asked = getattr(request, "model_spec", None)
    answered = getattr(response, "model_spec", None)
    description = {
        "peer": context.peer(),
        "model": asked.name if asked else "",
        "signature": asked.signature_name if asked else "",
        "version": answered.version.value if answered else 0,
        "request_bytes": request.ByteSize(),
        "response_bytes": response.ByteSize() if response else 0,
    }
    if response is None:
        description["message"] = (context.details() or b"").decode(errors="replace")
    return description


def open_access_log(destination: str) -> logging.Logger:
    """The logger of a server's access log; close its handlers when the server stops.

    Args:
      destination: a file to append to, "-" for standard output, or "" for none.

    Raises:
      ServingError: the file cannot be written.
    """
    log = logging.Logger("access", level=logging.INFO)  # of this server alone, not a global one
    try:
        if destination == "-":
            log.addHandler(logging.StreamHandler(sys.stdout))
        elif destination:
            log.addHandler(logging.FileHandler(destination))
    except OSError as error:
        message = f"The access log should be a file that can be written: {error}"
        raise ServingError(message) from error
    return log
