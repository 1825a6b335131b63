"""What happens to every request around its service: it is counted, logged, or refused at the end.

gRPC cancels what has arrived but was not yet handed to a thread when its server stops, and a client
cannot tell that from a request that was begun. Refused here first, it sees UNAVAILABLE and asks
again.

An access log line is one JSON object. It has names, sizes, code and time, never what a history
holds.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc

from serving.errors import ServingError
from serving.metrics import ServerMetrics

_API_PREFIX = "/tensorflow.serving."
_QUIET_S = 0.05
_MAX_REFUSING_S = 1.0


class RequestInterceptor(grpc.ServerInterceptor):
    """Counts, times and logs every request of the API until it is closed, and then refuses it.

    Health checks and reflection pass untouched.

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
            return grpc.unary_unary_rpc_method_handler(_refuse)
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


def _refuse(request: Any, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAVAILABLE, "The server is shutting down.")


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
    if destination:
        try:
            handler = (
                logging.StreamHandler(sys.stdout)
                if destination == "-"
                else logging.FileHandler(destination)
            )
        except OSError as error:
            raise ServingError(
                f"The access log should be a file that can be written: {error}"
            ) from error
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    return log
