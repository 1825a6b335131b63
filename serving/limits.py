"""Limits on what a request may ask: sizes of its inputs, and values of its scalars.

TensorFlow Serving has none but the message's size, and a few bytes can ask for much work: a tensor
may give one value for a huge shape, and `k` is a number. A limit is written `history=1024x10000`
(for each dimension its largest size) or `k=10000` (for a scalar its largest value).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import tensor_pb2

from serving.loaded_model import ModelError

_FORM = re.compile(r"(?P<name>[^=]+)=(?P<numbers>[1-9]\d*(x[1-9]\d*)*)")


def parse_limits(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Input name to the largest size of each dimension, or to a scalar's largest value.

    Raises:
      ValueError: a text has another form, or names an input a second time.
    """
    limits: dict[str, tuple[int, ...]] = {}
    for text in texts:
        match = _FORM.fullmatch(text)
        if not match or match["name"] in limits:
            raise ValueError(
                "A limit should have the form history=1024x10000 (sizes) or k=10000 (a scalar's "
                f"value), each input once. Received: {text!r}."
            )
        limits[match["name"]] = tuple(int(number) for number in match["numbers"].split("x"))
    return limits


def check_sizes(
    inputs: Mapping[str, tensor_pb2.TensorProto], limits: Mapping[str, Sequence[int]]
) -> None:
    """Refuses inputs that are too large, before they are decoded.

    Args:
      inputs: of a request.
      limits: as `parse_limits` gives them; inputs without one pass.

    Raises:
      ModelError: INVALID_ARGUMENT, with the limit and what came.
    """
    for name, proto in inputs.items():
        sizes = [dim.size for dim in proto.tensor_shape.dim]
        largest = limits.get(name, ())
        if any(size > limit for size, limit in zip(sizes, largest, strict=False)):
            shape = " x ".join(str(limit) for limit in largest)
            raise ModelError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"Input {name!r} should be at most {shape}. Received: shape {sizes}. "
                "Send less at once.",
            )


def check_values(values: Mapping[str, Any], limits: Mapping[str, Sequence[int]]) -> None:
    """Refuses scalars that are too large.

    Args:
      values: decoded inputs, arrays by name.
      limits: as `parse_limits` gives them; inputs without one pass.

    Raises:
      ModelError: INVALID_ARGUMENT, with the limit and what came.
    """
    for name, value in values.items():
        is_number = np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.number)
        if is_number and name in limits and value > limits[name][0]:
            raise ModelError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"Input {name!r} should be at most {limits[name][0]}. Received: {value}.",
            )
