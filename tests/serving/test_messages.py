"""The client's messages against those of TensorFlow Serving, and what a client has to import."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import wrappers_pb2
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_pb2, predict_pb2, status_pb2

from serving import messages

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
    return field.number, kind, field.label, is_map


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
        "import sys, serving.client, serving.async_client\n"
        "heavy = {'tensorflow', 'tensorflow_serving', 'numpy', 'keras', 'adarec_tf'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)
