"""Limits on what a request may ask: sizes of its inputs, and values of its scalars.

TensorFlow Serving has none but the message's size, and a few bytes can ask for much work: a tensor
may give one value for a huge shape, and `k` is a number.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2

from serving.errors import invalid_argument

_FORM = re.compile(r"(?P<name>[^=]+)=(?P<numbers>[1-9]\d*(x[1-9]\d*)*)")


class Limits:
    """What inputs may be, by name; inputs without a limit pass.

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

    def check_sizes(self, inputs: Mapping[str, tensor_pb2.TensorProto]) -> None:
        """Refuses inputs that are too large, before they are decoded: INVALID_ARGUMENT."""
        for name, proto in inputs.items():
            sizes = [dim.size for dim in proto.tensor_shape.dim]
            largest = self.largest.get(name, ())
            if any(size > limit for size, limit in zip(sizes, largest, strict=False)):
                raise invalid_argument(
                    f"Input {name!r} should be at most {' x '.join(map(str, largest))}. "
                    f"Received: shape {sizes}. Send less at once."
                )

    def check_values(self, values: Mapping[str, Any]) -> None:
        """Refuses decoded scalars that are too large: INVALID_ARGUMENT."""
        for name, value in values.items():
            is_number = np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.number)
            if is_number and name in self.largest and value > self.largest[name][0]:
                raise invalid_argument(
                    f"Input {name!r} should be at most {self.largest[name][0]}. Received: {value}."
                )
