"""What a server answers to requests that are not as they should be: codes, and where ours differ.

`COMMON` is the stock server's table, which the embedded one keeps to. `DIFFERENCES` are left on
purpose; the guide on serving has them as a table. `good` below is a Predict request of the default
signature that a server answers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

_PREDICTION = "/tensorflow.serving.PredictionService"
_MODEL = "/tensorflow.serving.ModelService"

# Makes of a good request the path and the message to send.
Make = Callable[[predict_pb2.PredictRequest], tuple[str, Message]]


class Case(NamedTuple):
    """A request, and the name of the status that it is answered with."""

    what: str
    make: Make
    code: str


class Difference(NamedTuple):
    """A request that the embedded server answers otherwise, and better.

    Attributes:
      what: is asked.
      make: the request.
      stock: the stock server's code.
      embedded: the embedded server's.
      reason: why it differs.
      is_harmless: whether the stock server is as before afterwards.
    """

    what: str
    make: Make
    stock: str
    embedded: str
    reason: str
    is_harmless: bool


def code_of(
    channel: grpc.Channel, make: Make, good: predict_pb2.PredictRequest, timeout_s: float = 30.0
) -> str:
    """The name of the status of an answer; a hang is DEADLINE_EXCEEDED.

    Args:
      channel: to a server.
      make: the request.
      good: a request that the server answers.
      timeout_s: what is called a hang.
    """
    path, message = make(good)
    try:
        channel.unary_unary(path)(message.SerializeToString(), timeout=timeout_s)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def _predict(change: Callable[[predict_pb2.PredictRequest], Any]) -> Make:
    def make(good: predict_pb2.PredictRequest) -> tuple[str, Message]:
        request = predict_pb2.PredictRequest.FromString(good.SerializeToString())
        change(request)
        return f"{_PREDICTION}/Predict", request

    return make


def _with_input(name: str, value: tensor_pb2.TensorProto) -> Make:
    return _predict(lambda request: request.inputs[name].CopyFrom(value))


def _stating(*sizes: int) -> tensor_pb2.TensorProto:
    """One item for the whole of a shape."""
    shape = {"dim": [{"size": size} for size in sizes]}
    dtype = types_pb2.DT_STRING
    return tensor_pb2.TensorProto(dtype=dtype, tensor_shape=shape, string_val=[b""])


def _of_model(path: str, kind: type[Message], spec: str = "", **fields: Any) -> Make:
    """A request that is not Predict; `spec` is what its `model_spec` has in place of the good."""

    def make(good: predict_pb2.PredictRequest) -> tuple[str, Message]:
        request: Any = kind(**fields)
        request.model_spec.name = good.model_spec.name
        text_format.Merge(spec, request.model_spec)
        return path, request

    return make


def _multi_inference(good: predict_pb2.PredictRequest) -> tuple[str, Message]:
    task = {"model_spec": {"name": good.model_spec.name}}
    method = "tensorflow/serving/classify"
    message = inference_pb2.MultiInferenceRequest(tasks=[{**task, "method_name": method}])
    return f"{_PREDICTION}/MultiInference", message


def _reload_missing_path(good: predict_pb2.PredictRequest) -> tuple[str, Message]:
    model = {
        "name": good.model_spec.name,
        "base_path": "/no/such/folder",
        "model_platform": "tensorflow",
    }
    config = {"model_config_list": {"config": [model]}}
    message = model_management_pb2.ReloadConfigRequest(config=config)
    return f"{_MODEL}/HandleReloadConfigRequest", message


def _health(service: str) -> Make:
    message = health_pb2.HealthCheckRequest(service=service)
    return lambda good: ("/grpc.health.v1.Health/Check", message)


_NO_HISTORIES = tf.make_tensor_proto([], tf.string, shape=[0, 1])
_METADATA = f"{_PREDICTION}/GetModelMetadata", get_model_metadata_pb2.GetModelMetadataRequest
_STATUS = f"{_MODEL}/GetModelStatus", get_model_status_pb2.GetModelStatusRequest
_CLASSIFY = f"{_PREDICTION}/Classify", classification_pb2.ClassificationRequest
_REGRESS = f"{_PREDICTION}/Regress", regression_pb2.RegressionRequest

COMMON = (
    Case("Predict", _predict(lambda r: None), "OK"),
    Case("no name", _predict(lambda r: r.model_spec.ClearField("name")), "INVALID_ARGUMENT"),
    Case("unknown model", _predict(lambda r: setattr(r.model_spec, "name", "other")), "NOT_FOUND"),
    Case(
        "unknown version",
        _predict(lambda r: setattr(r.model_spec.version, "value", 10**9)),
        "NOT_FOUND",
    ),
    Case(
        "unknown label",
        _predict(lambda r: setattr(r.model_spec, "version_label", "stable")),
        "INVALID_ARGUMENT",
    ),
    Case(
        "unknown signature",
        _predict(lambda r: setattr(r.model_spec, "signature_name", "other")),
        "FAILED_PRECONDITION",
    ),
    Case("unknown output", _predict(lambda r: r.output_filter.append("no")), "INVALID_ARGUMENT"),
    Case("missing input", _predict(lambda r: r.inputs.pop("k")), "INVALID_ARGUMENT"),
    Case("extra input", _with_input("other", tf.make_tensor_proto(1)), "INVALID_ARGUMENT"),
    Case("wrong dtype", _with_input("k", tf.make_tensor_proto(1.0)), "INVALID_ARGUMENT"),
    Case("refused by the graph", _with_input("k", tf.make_tensor_proto(0)), "INVALID_ARGUMENT"),
    Case("no histories", _with_input("history", _NO_HISTORIES), "OK"),
    Case("metadata", _of_model(*_METADATA, metadata_field=["signature_def"]), "OK"),
    Case("metadata, no field", _of_model(*_METADATA), "INVALID_ARGUMENT"),
    Case("metadata, other", _of_model(*_METADATA, metadata_field=["x"]), "INVALID_ARGUMENT"),
    Case("status", _of_model(*_STATUS), "OK"),
    Case("status, unknown model", _of_model(*_STATUS, 'name: "other"'), "NOT_FOUND"),
    Case("status, unknown version", _of_model(*_STATUS, "version { value: 9999 }"), "NOT_FOUND"),
    Case("Classify", _of_model(*_CLASSIFY), "INVALID_ARGUMENT"),
    Case("Classify, unknown model", _of_model(*_CLASSIFY, 'name: "other"'), "NOT_FOUND"),
    Case("Regress", _of_model(*_REGRESS), "INVALID_ARGUMENT"),
    Case("MultiInference", _multi_inference, "INVALID_ARGUMENT"),
    Case("health", _health(""), "OK"),
    Case("health of PredictionService", _health("PredictionService"), "OK"),
    Case("health of ModelService", _health("ModelService"), "OK"),
    Case("health, full name", _health("tensorflow.serving.PredictionService"), "NOT_FOUND"),
    Case("unknown method", lambda good: (f"{_PREDICTION}/Nothing", good), "UNIMPLEMENTED"),
)

DIFFERENCES = (
    Difference(
        "GetModelStatus with an unknown label",
        _of_model(*_STATUS, 'version_label: "stable"'),
        stock="OK",
        embedded="INVALID_ARGUMENT",
        reason="the stock server ignores labels there and tells of all versions",
        is_harmless=True,
    ),
    Difference(
        "HandleReloadConfigRequest with a folder that is not there",
        _reload_missing_path,
        stock="DEADLINE_EXCEEDED",
        embedded="NOT_FOUND",
        reason="the stock server waits for the folder, and has unloaded the models before",
        is_harmless=False,
    ),
    Difference(
        "Predict with more than `--limit` allows",
        _with_input("history", _stating(1025, 1)),
        stock="OK",
        embedded="INVALID_ARGUMENT",
        reason="the stock server limits the size of a message alone",
        is_harmless=True,
    ),
    Difference(
        "Predict with one value for a shape of 2^25",
        _with_input("history", _stating(1, 2**25)),
        stock="OK",
        embedded="INVALID_ARGUMENT",
        reason="it takes the stock server to 3 GB",
        is_harmless=False,
    ),
)


def differences_table() -> str:
    """The differences in Markdown."""
    lines = ["| asked | stock server | embedded server | because |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row.what} | {row.stock} | {row.embedded} | {row.reason} |" for row in DIFFERENCES
    ]
    return "\n".join(lines) + "\n"
