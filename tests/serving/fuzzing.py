"""Predict requests of every kind of wrongness, and what a server has to do with any of them."""

from typing import Any

import grpc
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

PREDICT = "/tensorflow.serving.PredictionService/Predict"
# Codes that tell a caller what is wrong. UNKNOWN would be an exception nobody thought of.
TELLING_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_DTYPES = st.one_of(
    st.sampled_from([types_pb2.DT_STRING, types_pb2.DT_INT32, types_pb2.DT_BOOL]),
    st.sampled_from(types_pb2.DataType.values()),
    st.integers(-(2**31), 2**31 - 1),
)
SMALL_SIZES = st.integers(-1, 3)
SIZES = st.one_of(SMALL_SIZES, st.sampled_from([-(2**63), 2**31, 2**40, 2**63 - 1]))


@st.composite
def tensors(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> tensor_pb2.TensorProto:
    """TensorProtos whose dtype, shape and values may contradict each other.

    Args:
      draw: of hypothesis.
      sizes: of their shapes.
    """
    proto = tensor_pb2.TensorProto(dtype=draw(_DTYPES))
    for size in draw(st.lists(sizes, max_size=3)):
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.unknown_rank = draw(st.booleans())
    match draw(st.sampled_from(["string", "int", "bool", "float", "content", "nothing"])):
        case "string":
            items = st.one_of(st.sampled_from([b"i1", b"", b"broken"]), st.binary(max_size=8))
            proto.string_val.extend(draw(st.lists(items, max_size=4)))
        case "int":
            numbers = st.integers(-(2**31), 2**31 - 1)
            proto.int_val.extend(draw(st.lists(numbers, max_size=4)))
        case "bool":
            proto.bool_val.extend(draw(st.lists(st.booleans(), max_size=4)))
        case "float":
            proto.float_val.extend(draw(st.lists(st.floats(width=32), max_size=4)))
        case "content":
            proto.tensor_content = draw(st.binary(max_size=16))
    return proto


@st.composite
def requests(
    draw: st.DrawFn,
    good: predict_pb2.PredictRequest,
    sizes: st.SearchStrategy[int] = SIZES,
) -> bytes:
    """Serialized requests: a good one with some parts replaced by anything.

    Args:
      draw: of hypothesis.
      good: a request that a server answers.
      sizes: of shapes. `SMALL_SIZES` for a server that takes memory for whatever is stated.
    """
    request = predict_pb2.PredictRequest()
    request.CopyFrom(good)
    for name in draw(st.sets(st.sampled_from([*good.inputs, "other"]))):
        request.inputs[name].CopyFrom(draw(tensors(sizes)))
    for name in draw(st.sets(st.sampled_from(list(good.inputs)), max_size=1)):
        del request.inputs[name]
    spec = request.model_spec
    match draw(st.sampled_from(["", "", "", "name", "version", "label", "signature", "filter"])):
        case "name":
            spec.name = draw(st.text(max_size=8))
        case "version":
            spec.version.value = draw(st.integers(-(2**63), 2**63 - 1))
        case "label":
            spec.version_label = draw(st.text(max_size=8))
        case "signature":
            spec.signature_name = draw(st.text(max_size=8))
        case "filter":
            names = st.one_of(st.sampled_from(["scores", "item_ids"]), st.text(max_size=8))
            request.output_filter.extend(draw(st.lists(names, max_size=3)))
    return request.SerializeToString()


def ask(channel: grpc.Channel, request: bytes, timeout_s: float = 60.0) -> Any:
    """The status a request is answered with; a hang is DEADLINE_EXCEEDED."""
    try:
        channel.unary_unary(PREDICT)(request, timeout=timeout_s)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
