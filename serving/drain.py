"""Refusing new requests before the server stops, so that none is dropped without an answer.

gRPC cancels what has arrived but was not yet handed to a thread when its server stops, and a client
cannot tell that from a request that was begun. Refused here first, it sees UNAVAILABLE: ask again.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

_API_PREFIX = "/tensorflow.serving."
_QUIET_S = 0.05
_MAX_REFUSING_S = 1.0


class DrainGate(grpc.ServerInterceptor):
    """Lets every request pass until it is closed; health checks pass even then."""

    def __init__(self) -> None:
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
        """Chooses the handler of one request."""
        if self._is_closed and handler_call_details.method.startswith(_API_PREFIX):
            self._refused.set()
            return grpc.unary_unary_rpc_method_handler(_refuse)
        return continuation(handler_call_details)


def _refuse(request: Any, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAVAILABLE, "The server is shutting down.")
