"""Python values to TensorProtos and back, without NumPy or TensorFlow."""

import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

from serving.messages import TensorProto

# Numbers of TensorFlow's DataType.
_FLOAT, _INT32, _STRING, _BOOL = 1, 3, 7, 10


class Tensor(NamedTuple):
    """A decoded tensor: its shape and its values in row-major order, bytes or floats."""

    shape: tuple[int, ...]
    values: Sequence[Any]
    is_string: bool

    def rows(self) -> list[Sequence[Any]]:
        """The values of a matrix, a row each."""
        num_rows, width = self.shape
        return [self.values[width * row : width * (row + 1)] for row in range(num_rows)]


def int32_scalar(value: int) -> Any:
    """TensorProto int32 []."""
    return TensorProto(dtype=_INT32, tensor_shape={}, int_val=[value])


def bool_scalar(value: bool) -> Any:
    """TensorProto bool []."""
    return TensorProto(dtype=_BOOL, tensor_shape={}, bool_val=[value])


def string_vector(values: Sequence[bytes]) -> Any:
    """TensorProto string [N]."""
    return TensorProto(dtype=_STRING, tensor_shape=_shape(len(values)), string_val=values)


def string_matrix(rows: Sequence[Sequence[bytes]]) -> Any:
    """TensorProto string [N, M] of rows of any lengths, padded with "" on the left; M is >= 1."""
    width = max([1, *map(len, rows)])
    padded = [value for row in rows for value in [*[b""] * (width - len(row)), *row]]
    return TensorProto(dtype=_STRING, tensor_shape=_shape(len(rows), width), string_val=padded)


def float_matrix(rows: Sequence[bytes]) -> Any:
    """TensorProto float32 [N, M] of rows that are little-endian float32, all of one length."""
    width = len(rows[0]) // 4 if rows else 0
    shape = _shape(len(rows), width)
    return TensorProto(dtype=_FLOAT, tensor_shape=shape, tensor_content=b"".join(rows))


def float_bytes(values: Sequence[float]) -> bytes:
    """Little-endian float32 of numbers."""
    numbers = array("f", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def read_tensor(proto: Any) -> Tensor:
    """Decodes a float32 or string TensorProto.

    Raises:
      ValueError: it is of another type, or does not hold the values of its shape.
    """
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.dtype == _STRING:
        values: Sequence[Any] = proto.string_val
    elif proto.dtype == _FLOAT:
        values = _packed_floats(proto.tensor_content) or proto.float_val
    else:
        raise ValueError(f"A tensor should be float32 or string. Received: type {proto.dtype}.")
    size = math.prod(shape)
    if len(values) == 1 and size > 1:  # one value may stand for equal ones
        values = list(values) * size
    if min(shape, default=0) < 0 or len(values) != size:
        raise ValueError(f"A tensor of shape {shape} should hold {size} values: {len(values)}.")
    return Tensor(shape, values, proto.dtype == _STRING)


def _packed_floats(content: bytes) -> Sequence[float]:
    numbers = array("f")
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _shape(*sizes: int) -> dict[str, Any]:
    return {"dim": [{"size": size} for size in sizes]}
