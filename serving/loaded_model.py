"""One version of a model in memory: loading a SavedModel and answering its signatures.

It is run by a session, as TensorFlow Serving does it, not by `tf.saved_model.load`: on Python 3.11
and later every tensor that TensorFlow 2.16 makes of a request's values leaves some 340 bytes behind
(tensorflow/tensorflow#62551), and a session, which takes NumPy values as they are, also answers
sooner. A small model runs on the thread that asks: handing hundreds of tiny operations from thread
to thread costs more than they do. Matrix products use all cores all the same.

Requests and answers are TensorProtos, and whatever goes wrong is a `ModelError` with the status
code TensorFlow Serving gives in that case. Which version is served is decided in `model_versions`.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2

# Not `tf.compat.v1.saved_model.load`, which is this and a line on the screen.
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

# Values of all inputs to values of all outputs, by name.
Function = Callable[[Mapping[str, np.ndarray]], dict[str, Any]]

DEFAULT_SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY

# A TensorProto may state a huge shape and give one value, which decoding then repeats. 16 Mi
# elements are beyond anything a message of the largest accepted size could spell out.
MAX_TENSOR_ELEMENTS = 2**24

# A model of as many bytes of variables has operations worth a thread of their own.
_MIN_PARALLEL_BYTES = 2**24

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


class ModelError(Exception):
    """A model that cannot be loaded, or a request it cannot answer.

    Args:
      code: gRPC status the server reports.
      message: one line for the person who asks.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SignatureCall(NamedTuple):
    """A request that fits a signature.

    Attributes:
      signature_name: key of the signature.
      inputs: one array per input of the signature, by name.
      outputs: names of the outputs wanted.
    """

    signature_name: str
    inputs: dict[str, np.ndarray]
    outputs: list[str]


class LoadedModel:
    """A SavedModel that answers requests; safe to use from several threads.

    Args:
      version: the number of its folder.
      functions: what runs a signature, by its name.
      signature_defs: the signatures as stored in the SavedModel, by name.
    """

    def __init__(
        self,
        version: int,
        functions: Mapping[str, Function],
        signature_defs: Mapping[str, meta_graph_pb2.SignatureDef],
    ) -> None:
        self.version = version
        self.signature_defs = dict(signature_defs)
        self._functions = dict(functions)

    def predict(
        self,
        signature_name: str,
        inputs: Mapping[str, tensor_pb2.TensorProto],
        output_filter: Sequence[str] = (),
    ) -> dict[str, tensor_pb2.TensorProto]:
        """Checks a request, runs it and encodes the answer; see `check` and `run`."""
        return encode_outputs(self.run(self.check(signature_name, inputs, output_filter)))

    def check(
        self,
        signature_name: str,
        inputs: Mapping[str, tensor_pb2.TensorProto],
        output_filter: Sequence[str] = (),
    ) -> SignatureCall:
        """Decodes a request.

        Args:
          signature_name: key of a signature; "" means `serving_default`.
          inputs: one TensorProto per input of the signature, by name; nothing is cast.
          output_filter: names of the outputs wanted; empty means all.

        Raises:
          ModelError: unknown signature, or inputs or outputs that do not fit it.
        """
        name = signature_name or DEFAULT_SIGNATURE
        if name not in self._functions:
            raise ModelError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Serving signature key {name!r} not found. "
                f"Known: {', '.join(sorted(self._functions))}.",
            )
        signature = self.signature_defs[name]
        _check_input_names(signature, inputs)
        wanted = _select_outputs(signature, output_filter)
        arrays = {key: _decode(key, signature, proto) for key, proto in inputs.items()}
        return SignatureCall(name, arrays, wanted)

    def run(self, call: SignatureCall) -> dict[str, Any]:
        """Runs one signature.

        Returns:
          NumPy values of the outputs wanted, by name.

        Raises:
          ModelError: the graph failed.
        """
        try:
            outputs = self._functions[call.signature_name](call.inputs)
        except tf.errors.OpError as error:
            message = _on_one_line(error.message)
            raise ModelError(_STATUS_BY_NUMBER[error.error_code], message) from error
        return {name: outputs[name] for name in call.outputs}


def load_model(path: Path, version: int) -> LoadedModel:
    """Loads the SavedModel of one version.

    Args:
      path: folder with `saved_model.pb`.
      version: the number the folder is served under.

    Raises:
      ModelError: with the code TensorFlow Serving reports for the same broken folder.
    """
    signature_defs = _read_signature_defs(path)
    try:
        functions = _load_functions(path)
    except Exception as error:
        # The loader raises many unrelated types (OSError, IndexError, OpError, ...). Whichever it
        # is, the version is unusable and the reason belongs in its status.
        logger.debug("Loading %s failed.", path, exc_info=True)
        message = f"Cannot load {path}: {_on_one_line(str(error))}"
        raise ModelError(_load_error_code(error), message) from error
    return LoadedModel(version, functions, signature_defs)


def _load_functions(path: Path) -> dict[str, Function]:
    """The signatures of a SavedModel as functions of NumPy values; they share one session.

    The session owns the variables and tables, and lives as long as a function of it.
    """
    session = tf.compat.v1.Session(graph=tf.Graph())
    meta_graph = SavedModelLoader(str(path)).load(session, [tf.saved_model.SERVING])
    is_small = _checked_variable_bytes(session) < _MIN_PARALLEL_BYTES
    return {
        name: _function(session, signature, is_small)
        for name, signature in meta_graph.signature_def.items()
        if not name.startswith("__saved_model")  # what initializes it
    }


def _checked_variable_bytes(session: tf.compat.v1.Session) -> int:
    """Bytes of all variables, whose shapes should be the graph's: restoring takes what is there."""
    handles = [op for op in session.graph.get_operations() if op.type == "VarHandleOp"]
    with session.graph.as_default():
        shapes = [tf.raw_ops.VariableShape(input=handle.outputs[0]) for handle in handles]
    num_bytes = 0
    for handle, shape in zip(handles, session.run(shapes), strict=True):
        stated = tf.TensorShape(handle.get_attr("shape"))
        if not stated.is_compatible_with(shape.tolist()):
            raise ValueError(
                f"The variable {handle.name} should have the shape {stated}. "
                f"Received: {shape.tolist()}."
            )
        num_bytes += int(shape.prod()) * handle.get_attr("dtype").size
    return num_bytes


def _function(
    session: tf.compat.v1.Session, signature: meta_graph_pb2.SignatureDef, is_small: bool
) -> Function:
    input_names, output_names = list(signature.inputs), list(signature.outputs)
    options = config_pb2.CallableOptions(
        feed=[signature.inputs[name].name for name in input_names],
        fetch=[signature.outputs[name].name for name in output_names],
    )
    if is_small:
        options.run_options.inter_op_thread_pool = -1  # the caller's thread
    # `make_callable` takes the way of `run`, which costs more than many a model.
    run = session._make_callable_from_options(options)

    def function(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        values = run(*(inputs[name] for name in input_names))
        return dict(zip(output_names, values, strict=True))

    return function


def _read_signature_defs(path: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Signatures of the graph tagged for serving, read without building the graph."""
    if not path.is_dir():
        raise ModelError(grpc.StatusCode.FAILED_PRECONDITION, f"{path} should be a folder.")
    try:
        saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    except FileNotFoundError as error:
        raise ModelError(grpc.StatusCode.NOT_FOUND, f"{path} has no saved_model.pb.") from error
    except OSError as error:
        raise ModelError(grpc.StatusCode.UNKNOWN, f"Cannot read {path}: {error}") from error
    except DecodeError as error:
        message = f"{path / 'saved_model.pb'} is damaged: it is not a SavedModel."
        raise ModelError(grpc.StatusCode.DATA_LOSS, message) from error
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == {tf.saved_model.SERVING}:
            return dict(meta_graph.signature_def)
    message = f"{path / 'saved_model.pb'} has no graph tagged {tf.saved_model.SERVING!r}."
    raise ModelError(grpc.StatusCode.NOT_FOUND, message)


def _on_one_line(message: str) -> str:
    """What a graph reports, without the preamble and the node TensorFlow puts around it."""
    reported = message.rpartition("<stack traces unavailable>")[2].partition("[[{{node")[0]
    return " ".join(reported.split())


def _load_error_code(error: Exception) -> grpc.StatusCode:
    if isinstance(error, tf.errors.OpError):
        return _STATUS_BY_NUMBER[error.error_code]
    if isinstance(error, FileNotFoundError) or "not a valid checkpoint" in str(error):
        return grpc.StatusCode.NOT_FOUND  # the latter: no files of variables
    if isinstance(error, IndexError):  # how TensorFlow's OUT_OF_RANGE arrives: a truncated file
        return grpc.StatusCode.OUT_OF_RANGE
    return grpc.StatusCode.UNKNOWN


def _check_input_names(
    signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, tensor_pb2.TensorProto]
) -> None:
    missing = sorted(set(signature.inputs) - set(inputs))
    extra = sorted(set(inputs) - set(signature.inputs))
    if missing or extra:
        raise ModelError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Inputs should be {', '.join(sorted(signature.inputs))}. "
            f"Missing: {', '.join(missing) or 'none'}. Extra: {', '.join(extra) or 'none'}.",
        )


def _select_outputs(
    signature: meta_graph_pb2.SignatureDef, output_filter: Sequence[str]
) -> list[str]:
    for position, name in enumerate(output_filter):
        if name not in signature.outputs or name in output_filter[:position]:
            raise ModelError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"`output_filter` should name outputs of the signature, each once: "
                f"{', '.join(sorted(signature.outputs))}. Received: {', '.join(output_filter)}.",
            )
    return list(output_filter or signature.outputs)


def _decode(
    name: str, signature: meta_graph_pb2.SignatureDef, proto: tensor_pb2.TensorProto
) -> np.ndarray:
    """The values of one input."""
    expected = signature.inputs[name]
    if proto.dtype != expected.dtype:
        raise ModelError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Input {name!r} should be {_dtype_name(expected.dtype)}. "
            f"Received: {_dtype_name(proto.dtype)}.",
        )
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    wanted = [dim.size for dim in expected.tensor_shape.dim]
    if not expected.tensor_shape.unknown_rank and not _fits(sizes, wanted):
        raise ModelError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Input {name!r} should have the shape {wanted}, where -1 is any size. "
            f"Received: {sizes}.",
        )
    if min(sizes, default=0) < 0 or math.prod(sizes) > MAX_TENSOR_ELEMENTS:
        raise ModelError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Input {name!r} should have at most {MAX_TENSOR_ELEMENTS} elements. "
            f"Received: shape {sizes}.",
        )
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        message = f"Input {name!r} should hold the values of its shape {sizes}: {error}"
        raise ModelError(grpc.StatusCode.INVALID_ARGUMENT, message) from error


def _fits(sizes: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(sizes) == len(wanted) and all(
        size == other or other == -1 for size, other in zip(sizes, wanted, strict=True)
    )


def _dtype_name(dtype: int) -> str:
    """A message may hold numbers that are no dtype."""
    known = dtype in types_pb2.DataType.values()
    return types_pb2.DataType.Name(dtype) if known else f"dtype {dtype}"


def encode_outputs(outputs: Mapping[str, Any]) -> dict[str, tensor_pb2.TensorProto]:
    """Output name to TensorProto, of what `LoadedModel.run` gave."""
    return {name: _encode(array) for name, array in outputs.items()}


def _encode(array: Any) -> tensor_pb2.TensorProto:
    """TensorProto in typed fields of what `Tensor.numpy()` gave: NumPy values or bytes."""
    values = np.asarray(array, dtype=object) if isinstance(array, bytes) else np.asarray(array)
    dtype = tf.dtypes.as_dtype(values.dtype).as_datatype_enum
    if dtype not in _VALUE_FIELDS:
        return tf.make_tensor_proto(values)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    proto.tensor_shape.SetInParent()
    for size in values.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, _VALUE_FIELDS[dtype]).extend(values.ravel().tolist())
    return proto
