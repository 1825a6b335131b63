"""How the embedded server listens and what it accepts: every option of it, in one place."""

import os
from dataclasses import dataclass

from serving.limits import parse_limits


class ServingError(ValueError):
    """The server cannot start as asked; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Options of the server; 0 and "" mean "none" unless a comment says otherwise.

    Raises:
      ServingError: a value is not allowed.
    """

    host: str = "127.0.0.1"  # "0.0.0.0" for every IPv4 address of the machine
    port: int = 8500  # 0 takes any free one
    poll_interval_s: float = 1.0  # between two looks at the models' folders
    # TensorFlow Serving's default (`--grpc_max_threads`). Requests beyond it wait in a queue.
    max_threads: int = 4 * (os.cpu_count() or 1)
    # Beyond it they are refused with RESOURCE_EXHAUSTED, which clients retry.
    max_concurrent_requests: int = 1000
    max_message_bytes: int = 64 * 2**20  # of a request, and of an answer
    # Largest sizes of inputs and values of scalars, see `limits`. Inputs of other names pass.
    limits: tuple[str, ...] = ("history=1024x10000", "k=10000")
    batch_rows: int = 0  # rows (histories) of concurrent requests that one run takes at most
    batch_wait_ms: float = 2.0  # how long a request waits for others while the model is busy
    # Inputs of which a batch may hold different lengths: padded on the left with "".
    batch_padded_inputs: tuple[str, ...] = ("history",)
    metrics_port: int = 0  # Prometheus, over HTTP
    access_log: str = ""  # a file, or "-" for standard output: one JSON object a request
    tls_cert: str = ""  # PEM files: the certificate chain,
    tls_key: str = ""  # its key,
    tls_client_ca: str = ""  # and, to ask clients for certificates, who signs them
    drain_s: float = 30.0  # 0 too: when a stopping server cancels requests still under way

    def __post_init__(self) -> None:
        for name in ("port", "metrics_port"):
            value = getattr(self, name)
            _check(0 <= value <= 65535, name, "between 0 and 65535", value)
        for name in (
            *("poll_interval_s", "max_threads", "max_concurrent_requests", "max_message_bytes"),
            "batch_wait_ms",
        ):
            _check(getattr(self, name) > 0, name, "positive", getattr(self, name))
        for name in ("batch_rows", "drain_s"):
            _check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        _check(
            bool(self.tls_cert) == bool(self.tls_key),
            "tls_key",
            "given with tls_cert",
            self.tls_key,
        )
        _check(
            bool(self.tls_cert) or not self.tls_client_ca,
            *("tls_client_ca", "given with tls_cert alone", self.tls_client_ca),
        )
        try:
            parse_limits(self.limits)
        except ValueError as error:
            raise ServingError(str(error)) from error

    @property
    def num_threads(self) -> int:
        """Threads of the server: with batching as many as a batch has requests."""
        return max(self.max_threads, self.batch_rows)


def _check(condition: bool, name: str, requirement: str, received: object) -> None:
    if not condition:
        raise ServingError(f"`{name}` should be {requirement}. Received: {name}={received!r}.")
