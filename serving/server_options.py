"""How the embedded server listens and what it accepts: every option of it, in one place."""

import os
from typing import Annotated, Any, Self

import pydantic
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from serving.errors import ServingError
from serving.limits import Limits

_Port = Annotated[int, pydantic.Field(ge=0, le=65535)]


class ServerOptions(pydantic.BaseModel):
    """Options of the server; 0 and "" mean "none" unless a description says otherwise.

    Raises:
      ServingError: a value is not allowed.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every one."""
    port: _Port = 8500
    """Port to listen on; 0 takes any free one."""
    poll_interval_s: PositiveFloat = 1.0
    """Seconds between two looks at the models' folders."""
    max_threads: PositiveInt = 4 * (os.cpu_count() or 1)
    """Requests answered at once, by default as many as TensorFlow Serving; more of them wait."""
    max_concurrent_requests: PositiveInt = 1000
    """Requests answered or waiting; more of them are refused, and clients ask again."""
    max_message_bytes: PositiveInt = 64 * 2**20
    """Largest size of a request, and of an answer."""
    limits: tuple[str, ...] = ("history=1024x10000", "k=10000")
    """Largest sizes of inputs and values of scalars; inputs of other names pass."""
    batch_rows: NonNegativeInt = 0
    """Rows (histories) of concurrent requests that one run of the model takes at most."""
    batch_wait_ms: PositiveFloat = 2.0
    """Milliseconds that a request waits for others while the model is busy."""
    batch_padded_inputs: tuple[str, ...] = ("history",)
    """Inputs that are padded with "" on the left to be run together."""
    metrics_port: _Port = 0
    """Port of metrics for Prometheus, over HTTP."""
    access_log: str = ""
    """File that gets one JSON object a request; "-" is standard output."""
    tls_cert: str = ""
    """PEM file of the certificate chain, to serve with TLS."""
    tls_key: str = ""
    """PEM file of the certificate's key."""
    tls_client_ca: str = ""
    """PEM file of who signs the certificates that clients have to show."""
    drain_s: NonNegativeFloat = 30.0
    """Seconds that a stopping server leaves to requests under way; 0 cancels them."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise ServingError(_first_problem(error)) from error

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        Limits(self.limits)
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError(
                f"`tls_key` should be given with tls_cert. Received: tls_key={self.tls_key!r}."
            )
        if self.tls_client_ca and not self.tls_cert:
            raise ValueError(
                "`tls_client_ca` should be given with tls_cert alone. "
                f"Received: tls_client_ca={self.tls_client_ca!r}."
            )
        return self

    @property
    def num_threads(self) -> int:
        """Threads of the server: with batching as many as a batch has requests."""
        return max(self.max_threads, self.batch_rows)


def _first_problem(error: pydantic.ValidationError) -> str:
    problem = error.errors()[0]
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    name, requirement = str(problem["loc"][0]), problem["msg"].removeprefix("Input should be ")
    if problem["type"] == "extra_forbidden":
        requirement = f"an option of the server: {', '.join(ServerOptions.model_fields)}"
    return f"`{name}` should be {requirement}. Received: {name}={problem['input']!r}."
