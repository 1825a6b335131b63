"""Errors of everything but a client; each says in one sentence why and what to do."""

import grpc


class ServingError(ValueError):
    """The server cannot start as asked, or does not answer as it should."""


class ModelError(ServingError):
    """A model that cannot be loaded, or a request it cannot answer.

    Args:
      code: gRPC status the server reports.
      message: one line for the person who asks.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid_argument(message: str) -> ModelError:
    """The error for a request, or a configuration, that is not allowed."""
    return ModelError(grpc.StatusCode.INVALID_ARGUMENT, message)
