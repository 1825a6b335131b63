"""How the embedded server listens and what it accepts: every option of it, in one place."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

import pydantic
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from serving.errors import ServingError, invalid_argument

if TYPE_CHECKING:  # the command line reads the options without waiting for TensorFlow
    import numpy as np
    from tensorflow.core.framework import tensor_pb2

_Port = Annotated[int, pydantic.Field(ge=0, le=65535)]
_FORM = re.compile(r"(?P<name>[^=]+)=(?P<numbers>[1-9]\d*(x[1-9]\d*)*)")


class Limits:
    """Limits of a request: sizes of its inputs, and values of its scalars.

    TensorFlow Serving limits the message's size alone, and a few bytes can ask for much work: a
    tensor may give one value for a huge shape, and `k` is a number. Inputs without a limit pass.

    Args:
      texts: `history=1024x10000` (for each dimension its largest size) or `k=10000` (for a scalar
        its largest value), each input once.

    Raises:
      ValueError: a text has another form, or names an input a second time.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.largest: dict[str, list[int]] = {}
        for text in texts:
            match = _FORM.fullmatch(text)
            if not match or match["name"] in self.largest:
                raise ValueError(
                    "A limit should have the form history=1024x10000 (sizes) or k=10000 (a "
                    f"scalar's value), each input once. Received: {text!r}."
                )
            self.largest[match["name"]] = [int(number) for number in match["numbers"].split("x")]

    def check_sizes(self, inputs: "Mapping[str, tensor_pb2.TensorProto]") -> None:
        """Refuses inputs that are too large, before they are decoded: INVALID_ARGUMENT."""
        for name, proto in inputs.items():
            sizes = [dim.size for dim in proto.tensor_shape.dim]
            largest = self.largest.get(name, ())
            if any(size > limit for size, limit in zip(sizes, largest, strict=False)):
                raise invalid_argument(
                    f"Input {name!r} should be at most {' x '.join(map(str, largest))}. "
                    f"Received: shape {sizes}. Send less at once."
                )

    def check_values(self, values: "Mapping[str, np.ndarray]") -> None:
        """Refuses decoded scalars that are too large: INVALID_ARGUMENT."""
        for name, value in values.items():
            is_limited = name in self.largest and value.ndim == 0 and value.dtype.kind in "iuf"
            if is_limited and value > self.largest[name][0]:
                raise invalid_argument(
                    f"Input {name!r} should be at most {self.largest[name][0]}. Received: {value}."
                )


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
    load_retries: NonNegativeInt = 0
    """Further tries of a version that does not load: TensorFlow Serving makes 5."""
    load_retry_interval_s: PositiveFloat = 60.0
    """Seconds between two tries of a version that does not load."""
    max_threads: PositiveInt = pydantic.Field(default_factory=lambda: 4 * (os.cpu_count() or 1))
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
