"""The messages and tensors of TensorFlow Serving's API that a client needs, without TensorFlow.

The generated modules of `tensorflow-serving-api` import TensorFlow for `TensorProto`. Here the few
fields a client reads and writes are declared once more, in a descriptor pool of their own, so that
both can live in one process. On the wire they are the same messages; a test compares the numbers.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto

# Message: {field: (number, type)}; a type is a scalar, another message, `[repeated]`, or a map.
# Enums are the same on the wire as int32.
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64")},
    "TensorShapeProto": {"dim": (2, "[Dim]")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "[float]"),
        "int_val": (7, "[int32]"),
        "string_val": (8, "[bytes]"),
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
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "ModelVersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, "StatusProto"),
    },
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "GetModelStatusResponse": {"model_version_status": (1, "[ModelVersionStatus]")},
}
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}

# Numbers of TensorFlow's DataType.
DT_FLOAT, DT_INT32, DT_STRING, DT_BOOL = 1, 3, 7, 10


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="adarec/client.proto", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            _add_field(message, field_name, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name], pool)


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
    if element.islower():
        field.type = _Field.Type.Value(f"TYPE_{element.upper()}")
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{element}"


_CLASSES = _message_classes()
TensorProto: Any = _CLASSES["TensorProto"]
PredictRequest: Any = _CLASSES["PredictRequest"]
PredictResponse: Any = _CLASSES["PredictResponse"]
GetModelStatusRequest: Any = _CLASSES["GetModelStatusRequest"]
GetModelStatusResponse: Any = _CLASSES["GetModelStatusResponse"]

# Request to the path it is sent to, and its response.
METHODS = {
    PredictRequest: ("/tensorflow.serving.PredictionService/Predict", PredictResponse),
    GetModelStatusRequest: (
        "/tensorflow.serving.ModelService/GetModelStatus",
        GetModelStatusResponse,
    ),
}


def tensor(dtype: int, *sizes: int, **values: Any) -> Any:
    """A TensorProto.

    Args:
      dtype: number of TensorFlow's DataType.
      *sizes: its shape; none is a scalar.
      **values: the field that fits the type, with the values in row-major order.
    """
    shape = {"dim": [{"size": size} for size in sizes]}
    return TensorProto(dtype=dtype, tensor_shape=shape, **values)
