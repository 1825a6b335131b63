"""How both clients connect: options, retries, and what a failed call means."""

import enum
import functools
import itertools
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc

from serving import messages
from serving.calls import RecommendError

Result = TypeVar("Result")
Read = Callable[[Any], list[Result]]  # makes a caller's answer of a response

MAX_MESSAGE_BYTES = 64 * 2**20
_LOOK_TIMEOUT_S = 0.5

# A server that restarts answers UNAVAILABLE, one whose threads are all taken RESOURCE_EXHAUSTED:
# neither has begun the request. Anything else may be the request's own fault, and is not retried.
# gRPC retries within the deadline of the call and allows five attempts at most.
_RETRY_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}
_RETRIES = {"methodConfig": [{"name": [{}], "retryPolicy": _RETRY_POLICY}]}
_OPTIONS = [
    # gRPC's own receive limit of 4 MiB is soon reached by a batch of long lists.
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.service_config", json.dumps(_RETRIES)),
    # Notice a restarted server within the retries above.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Channels of one process would share a connection otherwise.
    ("grpc.use_local_subchannel_pool", 1),
]
_SPEAKS_TLS = (
    "The model server at {target} speaks TLS, and this client plain text. Give the client "
    "`credentials`, and commands `--tls-ca`."
)
_NO_TLS = (
    "No model server answers with TLS at {target}: {details}. Give the address of one, and who "
    "signs its certificate."
)
_EXPLANATIONS = {
    grpc.StatusCode.UNAVAILABLE: (
        "No model server answers at {target}. Start it with `adarec serve` or give another address."
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "The model server at {target} did not answer within {limit_s:g} s. Raise the timeout or "
        "send fewer histories at once."
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        "The model server at {target} is busy or the batch is too large: {details}. Try again "
        "later or send fewer histories at once."
    ),
    grpc.StatusCode.NOT_FOUND: (
        "The model server at {target} has no model {model_name!r}. Give the name it is served by."
    ),
    grpc.StatusCode.FAILED_PRECONDITION: (
        "The model {model_name!r} at {target} cannot do this: {details}. Serve a model pushed by "
        "this version of `adarec run`; sessions need a student."
    ),
    grpc.StatusCode.UNIMPLEMENTED: (
        "The server at {target} should speak TensorFlow Serving's API. Give a model server's port."
    ),
}
_OTHER_EXPLANATION = "The model server at {target} refused: {details} ({code})."


def read_credentials(
    tls_ca: str, tls_cert: str = "", tls_key: str = ""
) -> grpc.ChannelCredentials | None:
    """Credentials for TLS, from files in PEM.

    Args:
      tls_ca: who signs the server's certificate; "" is for plain text.
      tls_cert: the client's own certificate, for servers that ask for one.
      tls_key: its key.

    Returns:
      What the clients take: None for plain text.

    Raises:
      RecommendError: a file cannot be read, or one is missing.
    """
    if bool(tls_cert) != bool(tls_key) or (tls_cert and not tls_ca):
        raise RecommendError(
            "`tls_cert` and `tls_key` should be given together, and with `tls_ca`. Received: "
            f"tls_ca={tls_ca!r}, tls_cert={tls_cert!r}, tls_key={tls_key!r}."
        )
    if not tls_ca:
        return None
    try:
        ca, key, cert = (
            Path(file).read_bytes() if file else None for file in (tls_ca, tls_key, tls_cert)
        )
    except OSError as error:
        raise RecommendError(f"The file for TLS should be readable: {error}.") from error
    return grpc.ssl_channel_credentials(ca, key, cert)


class Listener(enum.Enum):
    """What is seen at an address."""

    NONE = enum.auto()
    TLS = enum.auto()
    OTHER = enum.auto()


def find_listener(target: str) -> Listener:
    """Looks who listens at an address, since gRPC tells neither absence nor TLS for certain.

    On a connection of its own: gRPC's watch of a channel's state outlives the channel and then ends
    with a traceback. An address of another form than host:port is `OTHER`.
    """
    host, _, port = target.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), _LOOK_TIMEOUT_S) as connection,
            context.wrap_socket(connection),
        ):
            return Listener.TLS
    except ConnectionRefusedError:
        return Listener.NONE
    except (OSError, ValueError, OverflowError):
        return Listener.OTHER


def needs_a_look(error: Any) -> bool:
    """Whether who listens there is a part of what a failed call means."""
    return error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)


class ClientBase:
    """The base of both clients: channels, the model's name, and the time limit of a call."""

    _grpc: Any = grpc  # or `grpc.aio`

    def __init__(
        self,
        target: str,
        model_name: str = "student",
        timeout_s: float = 5.0,
        num_connections: int = 1,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """Opens connections to a server.

        Args:
          target: "host:port" of the server.
          model_name: name the model is served under.
          timeout_s: time limit of one call in seconds, retries included.
          num_connections: calls take turns on so many connections. One carries many calls at once;
            more help where one thread of gRPC is the limit.
          credentials: for TLS, from `grpc.ssl_channel_credentials`; None for plain text.

        Raises:
          RecommendError: an argument is out of range.
        """
        if not target:
            raise RecommendError("`target` should be the host:port of a model server.")
        if not model_name:
            raise RecommendError("`model_name` should not be empty.")
        if type(num_connections) is not int or num_connections < 1:
            raise RecommendError(
                f"`num_connections` should be a positive integer. Received: {num_connections!r}."
            )
        self._target, self._model_name, self._timeout_s = target, model_name, timeout_s
        self._has_tls = credentials is not None
        self._checked_timeout(None)
        connect = self._grpc.insecure_channel
        if credentials is not None:
            connect = functools.partial(self._grpc.secure_channel, credentials=credentials)
        self._channels = [connect(target, options=_OPTIONS) for _ in range(num_connections)]
        self._methods = {
            request: itertools.cycle(
                [
                    channel.unary_unary(
                        path,
                        request_serializer=request.SerializeToString,
                        response_deserializer=response.FromString,
                    )
                    for channel in self._channels
                ]
            )
            for request, (path, response) in messages.METHODS.items()
        }

    def _start(self, request: Any, limit_s: float) -> Any:
        """Sends a request; returns the response, or for asyncio an awaitable of it."""
        request.model_spec.name = self._model_name
        return next(self._methods[type(request)])(request, timeout=limit_s)

    def _checked_timeout(self, timeout_s: float | None) -> float:
        """The time limit of a call in seconds: its own, or the client's."""
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        if not limit_s > 0:
            raise RecommendError(f"`timeout_s` should be positive. Received: {limit_s}.")
        return limit_s

    def _explain(self, error: Any, limit_s: float, listener: Listener) -> RecommendError:
        """One sentence and what to do next, for a failed call."""
        code, details = error.code(), " ".join((error.details() or "").split())
        if code == grpc.StatusCode.DEADLINE_EXCEEDED and listener is Listener.NONE:
            code = grpc.StatusCode.UNAVAILABLE  # it fell between two attempts to connect
        message = _EXPLANATIONS.get(code, _OTHER_EXPLANATION)
        if listener is Listener.TLS and not self._has_tls:
            code, message = grpc.StatusCode.UNAVAILABLE, _SPEAKS_TLS
        elif code == grpc.StatusCode.UNAVAILABLE and self._has_tls:
            message = _NO_TLS
        text = message.format(
            target=self._target,
            model_name=self._model_name,
            limit_s=limit_s,
            details=details,
            code=code.name,
        )
        return RecommendError(text, code.name, details)
