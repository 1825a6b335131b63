"""How the embedded server listens and what it accepts: every option of it, in one place."""

import os
from dataclasses import dataclass


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
    drain_s: float = 30.0  # after which a stopping server cancels requests still under way

    def __post_init__(self) -> None:
        _check(0 <= self.port <= 65535, "port", "between 0 and 65535", self.port)
        for name in ("poll_interval_s", "max_threads", "max_concurrent_requests"):
            _check_positive(self, name)
        _check_positive(self, "max_message_bytes")
        _check(self.drain_s >= 0, "drain_s", "at least 0", self.drain_s)


def _check_positive(options: ServerOptions, name: str) -> None:
    _check(getattr(options, name) > 0, name, "positive", getattr(options, name))


def _check(condition: bool, name: str, requirement: str, received: object) -> None:
    if not condition:
        raise ServingError(f"`{name}` should be {requirement}. Received: {name}={received}.")
