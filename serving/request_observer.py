"""Counting and logging every request of the API, as one gRPC interceptor.

An access log line is one JSON object. It has names, sizes, code and time, never what a history
holds.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc

from serving.metrics import ServerMetrics

_API_PREFIX = "/tensorflow.serving."


class RequestObserver(grpc.ServerInterceptor):
    """Times each request, counts it, and logs it where a log is given.

    Args:
      metrics: what counts.
      access_log: gets one line a request; a logger without a handler makes none.
    """

    def __init__(self, metrics: ServerMetrics, access_log: logging.Logger) -> None:
        self._metrics = metrics
        self._access_log = access_log

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Wraps the handler of one request."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_API_PREFIX):
            return handler
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
            self._metrics.count_begun()
            try:
                response = answer(request, context)
                code = grpc.StatusCode.OK
            except Exception:
                code = context.code() or code  # set by `context.abort`
                raise
            finally:
                seconds = time.perf_counter() - started_s
                self._metrics.count_answered(method, code.name, seconds)
                if self._access_log.handlers:
                    self._log(method, code, seconds, request, response, context)
            return response

        return answer_and_observe

    def _log(
        self,
        method: str,
        code: grpc.StatusCode,
        seconds: float,
        request: Any,
        response: Any,
        context: grpc.ServicerContext,
    ) -> None:
        asked = getattr(request, "model_spec", None)
        answered = getattr(response, "model_spec", None)
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": method,
            "code": code.name,
            "ms": round(seconds * 1000, 3),
            "peer": context.peer(),
            "model": asked.name if asked else "",
            "signature": asked.signature_name if asked else "",
            "version": answered.version.value if answered else 0,
            "request_bytes": request.ByteSize(),
            "response_bytes": response.ByteSize() if response else 0,
        }
        if code is not grpc.StatusCode.OK:
            line["message"] = (context.details() or b"").decode(errors="replace")
        self._access_log.info(json.dumps(line))


def open_access_log(destination: str) -> logging.Logger:
    """The logger of a server's access log; close its handlers when the server stops.

    Args:
      destination: a file to append to, "-" for standard output, or "" for none.

    Raises:
      OSError: the file cannot be written.
    """
    log = logging.Logger("access", level=logging.INFO)  # of this server alone, not a global one
    if destination:
        to_screen = destination == "-"
        handler = (
            logging.StreamHandler(sys.stdout) if to_screen else logging.FileHandler(destination)
        )
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    return log
