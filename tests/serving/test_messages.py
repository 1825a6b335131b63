"""The client's messages and tensors against TensorFlow's, and what a client has to import."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_pb2, predict_pb2, status_pb2

from serving import calls, messages
from serving.messages import TensorProto

ROOT = Path(__file__).parents[2]
THEIRS = {
    "Dim": tensor_shape_pb2.TensorShapeProto.Dim,
    "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
    "TensorProto": tensor_pb2.TensorProto,
    "Int64Value": wrappers_pb2.Int64Value,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "StatusProto": status_pb2.StatusProto,
    "ModelVersionStatus": get_model_status_pb2.ModelVersionStatus,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
}


def wire_form(field: FieldDescriptor) -> tuple[object, ...]:
    """What decides how a field is written; an enum is written as an int32."""
    kind = field.type if field.type != FieldDescriptor.TYPE_ENUM else FieldDescriptor.TYPE_INT32
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    message = DescriptorProto()
    field.containing_type.CopyToProto(message)
    [label] = [declared.label for declared in message.field if declared.name == field.name]
    return field.number, kind, label, is_map


def test_every_message_is_compared() -> None:
    assert set(THEIRS) == set(messages.FIELDS)


@pytest.mark.parametrize("name", THEIRS)
def test_fields_are_written_as_tensorflow_serving_writes_them(name: str) -> None:
    ours = messages._CLASSES[name].DESCRIPTOR.fields_by_name
    theirs = THEIRS[name].DESCRIPTOR.fields_by_name
    assert {key: wire_form(field) for key, field in ours.items()} == {
        key: wire_form(theirs[key]) for key in ours
    }


def test_states_have_the_names_of_tensorflow_serving() -> None:
    states = get_model_status_pb2.ModelVersionStatus.State
    assert {number: name for name, number in states.items()} == messages.STATES


def test_a_client_imports_neither_tensorflow_nor_numpy() -> None:
    script = (
        "import sys, serving.client\n"
        "heavy = {'tensorflow', 'tensorflow_serving', 'numpy', 'keras', 'adarec_tf'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)


def as_array(proto: TensorProto) -> np.ndarray:
    return tf.make_ndarray(tensor_pb2.TensorProto.FromString(proto.SerializeToString()))


def as_proto(value: object) -> TensorProto:
    return TensorProto.FromString(tf.make_tensor_proto(value).SerializeToString())


def response_of(name: str, proto: TensorProto) -> messages.PredictResponse:
    return messages.PredictResponse(outputs={name: proto})


def test_what_a_client_writes_is_what_tensorflow_reads() -> None:
    assert as_array(calls.encode_k(7)) == np.int32(7)
    assert as_array(calls.encode_k(7)).shape == ()
    matrix = as_array(calls.encode_rows("histories", [["a"], [], ["b", "é"]]))
    assert matrix.tolist() == [[b"", b"a"], [b"", b""], [b"b", "é".encode()]]
    assert as_array(calls.encode_rows("histories", [[], []])).shape == (2, 1)
    session = np.array([1.5, 0.1], np.float32)
    sessions = as_array(calls.encode_sessions([session.tobytes(), b""], 2))
    np.testing.assert_array_equal(sessions, [session, [0, 0]])
    assert as_array(calls.encode_sessions([b"", b""], 2)).shape == (2, 0)


@pytest.mark.parametrize("value", [[[1.5, 2.5, 0.1]], [[2.0, 2.0]], [["a", "é"]], [["", ""]]])
def test_what_tensorflow_writes_is_what_a_client_reads(value: list) -> None:
    is_number = isinstance(value[0][0], float)
    name = "scores" if is_number else "item_ids"
    [row] = calls.read_rows(response_of(name, as_proto(value)), name, 1)
    expected = np.array(value[0], np.float32 if is_number else None)
    decoded = [item.decode() if isinstance(item, bytes) else item for item in row]
    np.testing.assert_array_equal(decoded, expected)


def test_rows_are_cut_where_the_shape_says() -> None:
    proto = as_proto(np.arange(6, dtype=np.float32).reshape(3, 2))
    rows = calls.read_rows(response_of("scores", proto), "scores", 3)
    assert [list(row) for row in rows] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (TensorProto(dtype=9), "float32 numbers. Received: shape .* DataType 9"),
        (as_proto([1.0, 2.0]), r"of shape \[2, K\]"),
        (as_proto([[1.0]] * 3), r"of shape \[2, K\]"),
        (as_proto([["a"], ["b"]]), "DataType 7"),
        (messages.tensor(1, 2, 3, float_val=[1, 2]), r"shape \[2, 3\] with 2 values"),
        (messages.tensor(1, 2, -1, float_val=[1, 2]), r"shape \[2, -1\] with 2 values"),
        (messages.tensor(1, 2, 1, tensor_content=b"12345"), r"shape \[2, 1\] with 0 values"),
    ],
)
def test_what_is_no_tensor_of_its_shape_is_refused(proto: TensorProto, message: str) -> None:
    with pytest.raises(calls.RecommendError, match=message) as failure:
        calls.read_rows(response_of("scores", proto), "scores", 2)
    assert failure.value.code == "INTERNAL"
