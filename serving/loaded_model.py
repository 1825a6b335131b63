"""One version of a model in memory: loading a SavedModel and answering its signatures.

It is run by a `tf.Session`, as TensorFlow Serving does it, not by `tf.saved_model.load`: on Python
3.11 and later every tensor that TensorFlow 2.16 makes of a request's values leaves some 340 bytes
behind (tensorflow/tensorflow#62551), and a `tf.Session`, which takes NumPy values as they are, also
answers sooner. Whatever goes wrong is a `ModelError` with TensorFlow Serving's status code.
"""

import logging
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

# Not `tf.compat.v1.saved_model.load`, which is this and a line on the screen.
from tensorflow.python.saved_model.loader_impl import SavedModelLoader
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving.errors import ModelError, invalid_argument

# Values of all inputs to values of all outputs, by name.
Function = Callable[[Mapping[str, np.ndarray]], dict[str, Any]]

# Read by TensorFlow Serving as well, where a bad or surplus record fails the load too.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1000

# A TensorProto may state a huge shape and give one value, which decoding then repeats. 16 Mi
# elements are beyond anything a message of the largest accepted size could spell out.
MAX_TENSOR_ELEMENTS = 2**24

# A smaller model runs on the thread that asks: handing hundreds of tiny operations from thread to
# thread costs more than they do. Matrix products use all cores all the same. Integers do not count:
# they are made floats when a model is loaded, and no request reads them.
_MIN_PARALLEL_BYTES = 2**24

# What TensorFlow puts around a message: the node it is of, and the functions around that.
_NODES = re.compile(r"\[\[\{\{.*|\{\{(function_)?node [^}]*\}\}", re.DOTALL)

# The loader's words where no graph is tagged for serving, or no files of variables are there.
_NOT_THERE = ("MetaGraphDef associated with tags", "not a valid checkpoint")

_STATUS_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}

# TensorFlow Serving answers in these typed fields, so a caller may read them without TensorFlow.
_VALUE_FIELDS = {
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_BOOL: "bool_val",
}

logger = logging.getLogger(__name__)


class SignatureCall(NamedTuple):
    """A request that fits a signature: all its inputs, and the names of the outputs wanted."""

    signature_name: str
    inputs: dict[str, np.ndarray]
    outputs: list[str]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A SavedModel that answers requests; safe to use from several threads.

    Attributes:
      version: the number of its folder.
      functions: what runs a signature, by its name.
      signature_defs: the signatures as stored in the SavedModel, by name.
    """

    version: int
    functions: Mapping[str, Function]
    signature_defs: Mapping[str, meta_graph_pb2.SignatureDef]

    def check(self, request: predict_pb2.PredictRequest) -> SignatureCall:
        """Decodes a request. Nothing is cast; without a signature's name it is `serving_default`.

        Raises:
          ModelError: unknown signature, or inputs or outputs that do not fit it.
        """
        name = request.model_spec.signature_name or "serving_default"
        if name not in self.functions:
            raise ModelError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Serving signature key {name!r} not found. "
                f"Known: {', '.join(sorted(self.functions))}.",
            )
        signature = self.signature_defs[name]
        _check_input_names(signature, request.inputs)
        _check_output_filter(signature, request.output_filter)
        arrays = {
            key: _decode(key, signature.inputs[key], proto) for key, proto in request.inputs.items()
        }
        return SignatureCall(name, arrays, list(request.output_filter or signature.outputs))

    def run(self, call: SignatureCall) -> dict[str, Any]:
        """Runs one signature.

        Returns:
          NumPy values of the outputs wanted, by name.

        Raises:
          ModelError: the graph failed.
        """
        try:
            outputs = self.functions[call.signature_name](call.inputs)
        except tf.errors.OpError as error:
            message = _on_one_line(error.message)
            raise ModelError(_STATUS_BY_NUMBER[error.error_code], message) from error
        except UnicodeDecodeError as error:  # the message of a graph that quotes bytes of an input
            message = error.object.decode(errors="backslashreplace")
            raise invalid_argument(_on_one_line(message)) from error
        return {name: outputs[name] for name in call.outputs}


def load_model(path: Path, version: int) -> LoadedModel:
    """Loads the SavedModel of one version, and has it answer its warm-up requests if it has any.

    The first call of a graph is slow, and a graph that cannot answer its own example should not
    replace one that can.

    Args:
      path: folder with `saved_model.pb`.
      version: the number the folder is served under.

    Raises:
      ModelError: with the code TensorFlow Serving reports for the same broken folder.
    """
    if not path.is_dir():
        raise ModelError(grpc.StatusCode.FAILED_PRECONDITION, f"{path} should be a folder.")
    if not (path / "saved_model.pb").exists():
        raise ModelError(grpc.StatusCode.NOT_FOUND, f"{path} has no saved_model.pb.")
    # It owns the variables and tables, and lives as long as a function of it.
    tf_session = tf.compat.v1.Session(graph=tf.Graph())
    try:
        meta_graph = SavedModelLoader(str(path)).load(tf_session, [tf.saved_model.SERVING])
        is_small = _checked_float_bytes(tf_session) < _MIN_PARALLEL_BYTES
        functions = {
            name: _function(tf_session, signature, is_small)
            for name, signature in meta_graph.signature_def.items()
            if not name.startswith("__saved_model")  # what initializes it
        }
    except Exception as error:
        # The loader raises many unrelated types (OSError, IndexError, OpError, ...). Whichever it
        # is, the version is unusable and the reason belongs in its status.
        logger.debug("Loading %s failed.", path, exc_info=True)
        raise _load_error(path, error) from error
    model = LoadedModel(version, functions, dict(meta_graph.signature_def))
    for position, request in enumerate(read_warmup_requests(path)):
        if position == MAX_WARMUP_RECORDS:
            raise invalid_argument(f"{path} should bring {position} warm-up requests at most.")
        model.run(model.check(request))
    return model


def read_warmup_requests(bundle: Path) -> Iterator[predict_pb2.PredictRequest]:
    """The requests of a bundle's warm-up file, in order; none without the file.

    Raises:
      ModelError: the file cannot be read, is damaged, or holds other records.
    """
    file = bundle / WARMUP_FILE
    if not file.exists():
        return
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if not log.HasField("predict_log"):
                message = "Warm-up records should be predict logs, the one kind that is known here."
                raise ModelError(grpc.StatusCode.UNIMPLEMENTED, message)
            yield log.predict_log.request
    except (tf.errors.OpError, DecodeError) as error:
        message = f"{file} should be a TFRecord file of PredictionLog: {error}"
        raise ModelError(grpc.StatusCode.DATA_LOSS, message) from error


def _checked_float_bytes(tf_session: tf.compat.v1.Session) -> int:
    """Bytes of float variables. All shapes should be the graph's: restoring takes what is there."""
    handles = [op for op in tf_session.graph.get_operations() if op.type == "VarHandleOp"]
    with tf_session.graph.as_default():
        shapes = [tf.raw_ops.VariableShape(input=handle.outputs[0]) for handle in handles]
    num_bytes = 0
    for handle, shape in zip(handles, tf_session.run(shapes), strict=True):
        stated = tf.TensorShape(handle.get_attr("shape"))
        if not stated.is_compatible_with(shape.tolist()):
            raise ValueError(
                f"The variable {handle.name} should have the shape {stated}. "
                f"Received: {shape.tolist()}."
            )
        dtype = handle.get_attr("dtype")
        num_bytes += int(shape.prod()) * dtype.size * dtype.is_floating
    return num_bytes


def _function(
    tf_session: tf.compat.v1.Session, signature: meta_graph_pb2.SignatureDef, is_small: bool
) -> Function:
    input_names, output_names = list(signature.inputs), list(signature.outputs)
    options = config_pb2.CallableOptions(
        feed=[signature.inputs[name].name for name in input_names],
        fetch=[signature.outputs[name].name for name in output_names],
    )
    if is_small:
        options.run_options.inter_op_thread_pool = -1  # the caller's thread
    # `make_callable` takes the way of `run`, which costs more than many a model.
    run = tf_session._make_callable_from_options(options)

    def function(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        values = run(*(inputs[name] for name in input_names))
        return dict(zip(output_names, values, strict=True))

    return function


def _on_one_line(message: str) -> str:
    """The message of a graph, without the preamble and the nodes that TensorFlow puts around it."""
    reported = message.rpartition("<stack traces unavailable>")[2]
    return " ".join(_NODES.sub("", reported).split())


def _load_error(path: Path, error: Exception) -> ModelError:
    """The loader's error, with the code that TensorFlow Serving reports."""
    message = str(error)
    code = grpc.StatusCode.UNKNOWN
    if isinstance(error, tf.errors.OpError):
        code = _STATUS_BY_NUMBER[error.error_code]
    elif isinstance(error.__cause__, DecodeError):
        code, message = grpc.StatusCode.DATA_LOSS, "saved_model.pb is damaged: no SavedModel."
    elif isinstance(error, FileNotFoundError) or any(part in message for part in _NOT_THERE):
        code = grpc.StatusCode.NOT_FOUND
    elif isinstance(error, IndexError):  # how TensorFlow's OUT_OF_RANGE arrives: a truncated file
        code = grpc.StatusCode.OUT_OF_RANGE
    return ModelError(code, f"Cannot load {path}: {_on_one_line(message)}")


def _check_input_names(signature: meta_graph_pb2.SignatureDef, inputs: Collection[str]) -> None:
    missing = sorted(set(signature.inputs) - set(inputs))
    extra = sorted(set(inputs) - set(signature.inputs))
    if missing or extra:
        raise invalid_argument(
            f"Inputs should be {', '.join(sorted(signature.inputs))}. "
            f"Missing: {', '.join(missing) or 'none'}. Extra: {', '.join(extra) or 'none'}."
        )


def _check_output_filter(signature: meta_graph_pb2.SignatureDef, names: Sequence[str]) -> None:
    if not set(names) <= set(signature.outputs) or len(set(names)) < len(names):
        raise invalid_argument(
            "`output_filter` should name outputs of the signature, each once: "
            f"{', '.join(sorted(signature.outputs))}. Received: {', '.join(names)}."
        )


def _decode(
    name: str, expected: meta_graph_pb2.TensorInfo, proto: tensor_pb2.TensorProto
) -> np.ndarray:
    """The values of one input."""
    if proto.dtype != expected.dtype:
        raise invalid_argument(
            f"Input {name!r} should be {_dtype_name(expected.dtype)}. "
            f"Received: {_dtype_name(proto.dtype)}."
        )
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    wanted = [dim.size for dim in expected.tensor_shape.dim]
    fits = len(sizes) == len(wanted) and all(map(lambda s, w: w in (-1, s), sizes, wanted))
    if not fits and not expected.tensor_shape.unknown_rank:
        raise invalid_argument(
            f"Input {name!r} should have the shape {wanted}, where -1 is any size. "
            f"Received: {sizes}."
        )
    if min(sizes, default=0) < 0:
        raise invalid_argument(
            f"Input {name!r} should have no negative size. Received: shape {sizes}."
        )
    if math.prod(sizes) > MAX_TENSOR_ELEMENTS:
        raise invalid_argument(
            f"Input {name!r} should have at most {MAX_TENSOR_ELEMENTS} elements. "
            f"Received: shape {sizes}."
        )
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise invalid_argument(
            f"Input {name!r} should hold the values of its shape {sizes}: {error}"
        ) from error


def _dtype_name(dtype: int) -> str:
    """A message may hold numbers that are no dtype."""
    known = dtype in types_pb2.DataType.values()
    return types_pb2.DataType.Name(dtype) if known else f"dtype {dtype}"


def encode_outputs(outputs: Mapping[str, Any]) -> dict[str, tensor_pb2.TensorProto]:
    """Output name to TensorProto, in typed fields, of the values that `LoadedModel.run` gave."""
    return {name: _encode(value) for name, value in outputs.items()}


def _encode(value: Any) -> tensor_pb2.TensorProto:
    array = np.asarray(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)
    dtype = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    if dtype not in _VALUE_FIELDS:
        return tf.make_tensor_proto(array)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _VALUE_FIELDS[dtype]).extend(array.ravel().tolist())
    return proto
