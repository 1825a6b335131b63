"""How the embedded server listens and what it accepts: every option of it, in one place."""

import os
from typing import Annotated, Any, Self

import pydantic
from pydantic import Field

from serving.errors import ServingError
from serving.limits import Limits

_Port = Annotated[int, Field(ge=0, le=65535)]
_PositiveInt = Annotated[int, Field(gt=0)]
_PositiveFloat = Annotated[float, Field(gt=0)]


class ServerOptions(pydantic.BaseModel):
    """Options of the server; 0 and "" mean "none" unless a description says otherwise.

    Raises:
      ServingError: a value is not allowed.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for every one.")
    port: _Port = Field(8500, description="Port to listen on; 0 takes any free one.")
    poll_interval_s: _PositiveFloat = Field(
        1.0, description="Seconds between two looks at the models' folders."
    )
    max_threads: _PositiveInt = Field(
        4 * (os.cpu_count() or 1),
        description="Requests answered at once; others wait. TensorFlow Serving's default.",
    )
    max_concurrent_requests: _PositiveInt = Field(
        1000, description="Requests answered or waiting; others are refused, and clients retry."
    )
    max_message_bytes: _PositiveInt = Field(
        64 * 2**20, description="Largest size of a request and of an answer."
    )
    limits: tuple[str, ...] = Field(
        ("history=1024x10000", "k=10000"),
        description="Largest sizes of inputs and values of scalars; other inputs have no limit.",
    )
    batch_rows: int = Field(
        0, ge=0, description="Rows (histories) of concurrent requests that one run may take."
    )
    batch_wait_ms: _PositiveFloat = Field(
        2.0, description="Milliseconds a request waits for others while the model is busy."
    )
    batch_padded_inputs: tuple[str, ...] = Field(
        ("history",), description='Inputs padded with "" on the left to be run together.'
    )
    metrics_port: _Port = Field(0, description="Port for Prometheus, over HTTP.")
    access_log: str = Field(
        "", description='File of one JSON object a request; "-" is standard output.'
    )
    tls_cert: str = Field("", description="PEM file: the certificate chain, to serve with TLS.")
    tls_key: str = Field("", description="PEM file: the key of the certificate.")
    tls_client_ca: str = Field(
        "", description="PEM file: who signs the certificates that clients have to show."
    )
    drain_s: float = Field(
        30.0, ge=0, description="Seconds a stopping server gives requests; 0 cancels them."
    )

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
    name, received = str(problem["loc"][0]), problem["input"]
    requirement = problem["msg"].removeprefix("Input should be ")
    if problem["type"] == "extra_forbidden":
        requirement = f"an option of the server: {', '.join(ServerOptions.model_fields)}"
    return f"`{name}` should be {requirement}. Received: {name}={received!r}."
