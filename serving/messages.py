"""The messages and tensors of TensorFlow Serving's API that a client needs, without TensorFlow.

The generated modules of `tensorflow-serving-api` import TensorFlow for `TensorProto`. Here the few
fields a client reads and writes are declared once more, in a descriptor pool of their own, so that
both can live in one process. On the wire they are the same messages; a test compares the numbers.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "adarec.serving_client"
_Field = descriptor_pb2.FieldDescriptorProto

# Message: {field: (number, type)}; a type is a scalar, another message, `[repeated]`, or a map.
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "enum": _Field.TYPE_INT32,  # the same on the wire
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64")},
    "TensorShapeProto": {"dim": (2, "[Dim]")},
    "TensorProto": {
        "dtype": (1, "enum"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "[float]"),
        "int_val": (7, "[int32]"),
        "string_val": (8, "[bytes]"),
        "int64_val": (10, "[int64]"),
        "bool_val": (11, "[bool]"),
    },
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "{TensorProto}"),
        "output_filter": (3, "[string]"),
    },
    "PredictResponse": {"outputs": (1, "{TensorProto}"), "model_spec": (2, "ModelSpec")},
    "StatusProto": {"error_code": (1, "enum"), "error_message": (2, "string")},
    "ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "enum"),
        "status": (3, "StatusProto"),
    },
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "GetModelStatusResponse": {"model_version_status": (1, "[ModelVersionStatus]")},
}
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}

# Numbers of TensorFlow's DataType.
_FLOAT, _INT32, _STRING, _BOOL = 1, 3, 7, 10

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="adarec/serving_client.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            _add_field(message, field_name, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in FIELDS
    }


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    is_map, is_repeated = kind.startswith("{"), kind.startswith(("[", "{"))
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL
    element = kind.strip("[]{}")
    if is_map:  # a map is a repeated message with a key and a value
        entry = message.nested_type.add(name="".join(map(str.title, name.split("_"))) + "Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, element)
        element = f"{message.name}.{entry.name}"
    if element in _SCALARS:
        field.type = _SCALARS[element]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{element}"


_CLASSES = _message_classes()
TensorProto: Any = _CLASSES["TensorProto"]
PredictRequest: Any = _CLASSES["PredictRequest"]
PredictResponse: Any = _CLASSES["PredictResponse"]
GetModelStatusRequest: Any = _CLASSES["GetModelStatusRequest"]
GetModelStatusResponse: Any = _CLASSES["GetModelStatusResponse"]


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
    return _tensor(_INT32, int_val=[value])


def bool_scalar(value: bool) -> Any:
    """TensorProto bool []."""
    return _tensor(_BOOL, bool_val=[value])


def string_vector(values: Sequence[bytes]) -> Any:
    """TensorProto string [N]."""
    return _tensor(_STRING, len(values), string_val=values)


def string_matrix(rows: Sequence[Sequence[bytes]]) -> Any:
    """TensorProto string [N, M] of rows of any lengths, padded with "" on the left; M is >= 1."""
    width = max([1, *map(len, rows)])
    padded = [value for row in rows for value in [*[b""] * (width - len(row)), *row]]
    return _tensor(_STRING, len(rows), width, string_val=padded)


def float_matrix(rows: Sequence[bytes]) -> Any:
    """TensorProto float32 [N, M] of rows that are little-endian float32, all of one length."""
    width = len(rows[0]) // 4 if rows else 0
    return _tensor(_FLOAT, len(rows), width, tensor_content=b"".join(rows))


def float_bytes(values: Sequence[float]) -> bytes:
    """Little-endian float32 of numbers."""
    return struct.pack(f"<{len(values)}f", *values)


def read_tensor(proto: Any) -> Tensor:
    """Decodes a float32 or string TensorProto.

    Raises:
      ValueError: it is of another type, or does not hold the values of its shape.
    """
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    content = proto.tensor_content
    if proto.dtype == _STRING:
        values: Sequence[Any] = proto.string_val
    elif proto.dtype == _FLOAT and len(content) % 4 == 0:
        values = struct.unpack(f"<{len(content) // 4}f", content) or proto.float_val
    else:
        raise ValueError(
            "A tensor should be float32 or string. "
            f"Received: type {proto.dtype} and {len(content)} bytes."
        )
    size = math.prod(shape)
    if len(values) == 1 and size > 1:  # one value may stand for equal ones
        values = list(values) * size
    if min(shape, default=0) < 0 or len(values) != size:
        raise ValueError(f"A tensor of shape {shape} should hold {size} values: {len(values)}.")
    return Tensor(shape, values, proto.dtype == _STRING)


def _tensor(dtype: int, *sizes: int, **values: Any) -> Any:
    shape = {"dim": [{"size": size} for size in sizes]}
    return TensorProto(dtype=dtype, tensor_shape=shape, **values)
