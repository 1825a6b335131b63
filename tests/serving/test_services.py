"""The API as any client sees it: raw stubs against a running server. Codes: `test_codes.py`."""

from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.local_server import serve


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def channel(bundle, model_dir):
    (model_dir / "3").symlink_to(bundle(3), target_is_directory=True)
    (model_dir / "2").symlink_to(bundle(2), target_is_directory=True)
    with serve(model_dir, port=0) as server, grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
def predictions(channel) -> prediction_service_pb2_grpc.PredictionServiceStub:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def models(channel) -> model_service_pb2_grpc.ModelServiceStub:
    return model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture
def request_for_i1() -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "student"
    request.inputs["history"].CopyFrom(tf.make_tensor_proto([["i1"]]))
    request.inputs["k"].CopyFrom(tf.make_tensor_proto(2))
    request.inputs["exclude_seen"].CopyFrom(tf.make_tensor_proto(True))
    return request


def code_of(method: Any, request: Any, timeout: float = 60.0) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as failure:
        method(request, timeout=timeout)
    return failure.value.code()


def test_predict_tells_the_version_that_answered(predictions, request_for_i1):
    response = predictions.Predict(request_for_i1, timeout=60)
    assert tf.make_ndarray(response.outputs["item_ids"]).tolist() == [[b"i2", b"i3"]]
    assert response.model_spec.name == "student"
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == "serving_default"


def test_predict_accepts_version_signature_and_output_filter(predictions, request_for_i1):
    request_for_i1.model_spec.version.value = 3
    request_for_i1.model_spec.signature_name = "serving_default"
    request_for_i1.output_filter.append("scores")
    assert list(predictions.Predict(request_for_i1, timeout=60).outputs) == ["scores"]


def test_a_passed_deadline_is_reported(predictions, request_for_i1):
    request_for_i1.inputs["history"].CopyFrom(tf.make_tensor_proto([["slow"]]))
    code = code_of(predictions.Predict, request_for_i1, timeout=0.2)
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED


def metadata_request(**fields: Any) -> get_model_metadata_pb2.GetModelMetadataRequest:
    request = get_model_metadata_pb2.GetModelMetadataRequest(**fields)
    request.model_spec.name = "student"
    return request


def test_metadata_describes_the_signature(predictions):
    request = metadata_request(metadata_field=["signature_def"])
    response = predictions.GetModelMetadata(request, timeout=60)
    assert response.model_spec.version.value == 3
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    assert set(signature.inputs) == {"history", "k", "exclude_seen"}
    assert signature.outputs["scores"].dtype == tf.float32.as_datatype_enum


def test_metadata_has_one_field_only(predictions):
    request = metadata_request(metadata_field=["signature_def", "other"])
    code = code_of(predictions.GetModelMetadata, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_status_lists_the_versions(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "student"
    (status,) = models.GetModelStatus(request, timeout=60).model_version_status
    assert (status.version, status.state) == (3, status.AVAILABLE)
    assert status.status.error_code == 0


def test_status_of_no_model_is_refused(models):
    request = get_model_status_pb2.GetModelStatusRequest()
    assert code_of(models.GetModelStatus, request) == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("service", ["", "PredictionService", "ModelService"])
def test_health_is_serving(channel, service):
    stub = health_pb2_grpc.HealthStub(channel)
    response = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


def reload_request(*models: str) -> model_management_pb2.ReloadConfigRequest:
    """Models in text format."""
    text = "".join(f"config {{ {model} }}" for model in models)
    config = f"config {{ model_config_list {{ {text} }} }}"
    return text_format.Parse(config, model_management_pb2.ReloadConfigRequest())


def version_that_answers(predictions, request, **choice: Any) -> int:
    request.model_spec.ClearField("version_choice")
    if "version" in choice:
        request.model_spec.version.value = choice["version"]
    if "label" in choice:
        request.model_spec.version_label = choice["label"]
    scores = predictions.Predict(request, timeout=60).outputs["scores"]
    return int(scores.float_val[0] // 1000)


def test_a_new_list_changes_policies_labels_and_models(
    predictions, models, request_for_i1, model_dir
):
    student = f'name: "student" base_path: "{model_dir}" model_platform: "tensorflow"'
    every_version = f"{student} model_version_policy {{ all {{}} }}"
    labels = 'version_labels { key: "stable" value: 2 } version_labels { key: "canary" value: 3 }'
    try:
        models.HandleReloadConfigRequest(reload_request(every_version), timeout=60)
        labeled = reload_request(f"{every_version} {labels}")
        response = models.HandleReloadConfigRequest(labeled, timeout=60)
        assert response.status.error_code == 0
        assert version_that_answers(predictions, request_for_i1) == 3
        assert version_that_answers(predictions, request_for_i1, version=2) == 2
        assert version_that_answers(predictions, request_for_i1, label="stable") == 2
        assert version_that_answers(predictions, request_for_i1, label="canary") == 3
        request_for_i1.model_spec.version_label = "other"
        code = code_of(predictions.Predict, request_for_i1)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        second = f'name: "second" base_path: "{model_dir}" model_platform: "tensorflow"'
        models.HandleReloadConfigRequest(reload_request(second), timeout=60)
        assert code_of(predictions.Predict, request_for_i1) == grpc.StatusCode.NOT_FOUND
        request_for_i1.model_spec.name = "second"
        assert version_that_answers(predictions, request_for_i1) == 3
    finally:
        models.HandleReloadConfigRequest(reload_request(student), timeout=60)


def test_a_new_list_that_is_not_allowed_is_refused(models, predictions, request_for_i1):
    request = reload_request('name: "student" base_path: "here" model_platform: "tensorflow"')
    code = code_of(models.HandleReloadConfigRequest, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert version_that_answers(predictions, request_for_i1) == 3
