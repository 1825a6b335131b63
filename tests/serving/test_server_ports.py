"""What a running server offers beside the API: limits, metrics, access log, TLS, reflection."""

import json
import socket
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.errors import ServingError
from serving.local_server import serve, serve_models
from serving.model_config import read_model_config_file
from serving.server_options import ServerOptions


@pytest.fixture
def model_dir(tmp_path, bundle) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "3").symlink_to(bundle(3), target_is_directory=True)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refusal(channel: grpc.Channel, request) -> tuple[grpc.StatusCode, str]:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    with pytest.raises(grpc.RpcError) as failure:
        stub.Predict(request, timeout=60)
    return failure.value.code(), failure.value.details()


def predict(channel: grpc.Channel, request):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return stub.Predict(request, timeout=60, wait_for_ready=True)


def test_limits_are_refused_with_a_reason(model_dir, predict_request):
    options = {"limits": ("history=2x3", "k=4"), "max_message_bytes": 1000}
    with (
        serve(model_dir, port=0, **options) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        predict(channel, predict_request([["i1"] * 3] * 2, k=4))
        for request, code, reason in [
            (predict_request([["i1"] * 4]), "INVALID_ARGUMENT", "should be at most 2 x 3"),
            (predict_request([["i1"]] * 3), "INVALID_ARGUMENT", "should be at most 2 x 3"),
            (predict_request(k=5), "INVALID_ARGUMENT", "'k' should be at most 4. Received: 5"),
            (predict_request([["i" * 1000]]), "RESOURCE_EXHAUSTED", "larger than max"),
        ]:
            received = refusal(channel, request)
            assert received[0].name == code
            assert reason in received[1]


def test_requests_beyond_the_queue_are_refused(model_dir, predict_request):
    with (
        serve(model_dir, port=0, max_threads=1, max_concurrent_requests=1) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        predict(channel, predict_request())
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        slow = [stub.Predict.future(predict_request([["slow"]]), timeout=60) for _ in range(3)]
        codes = sorted(future.code().name for future in slow)
        assert codes == ["OK", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"]


def test_requests_are_counted_and_logged(model_dir, tmp_path, predict_request):
    port, log_file = free_port(), tmp_path / "access.log"
    options = {"metrics_port": port, "access_log": str(log_file), "batch_rows": 8}
    with (
        serve(model_dir, port=0, **options) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        predict(channel, predict_request([["secret"]]))
        refusal(channel, predict_request(k=0))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
            metrics = page.read().decode()
    for line in [
        'adarec_requests_total{code="OK",method="Predict"} 1.0',
        'adarec_requests_total{code="INVALID_ARGUMENT",method="Predict"} 1.0',
        'adarec_request_seconds_count{method="Predict"} 2.0',
        "adarec_requests_in_progress 0.0",
        "adarec_batch_rows_count 2.0",
        'adarec_model_available{model="student",version="3"} 1.0',
    ]:
        assert line in metrics.splitlines()
    answered, refused = map(json.loads, log_file.read_text().splitlines())
    assert (answered["method"], answered["code"], answered["version"]) == ("Predict", "OK", 3)
    assert answered["model"] == "student"
    assert answered["response_bytes"] > 0
    for line in (answered, refused):  # to the microsecond
        assert line["ms"] == round(line["ms"], 3) > 0
    assert refused["code"] == "INVALID_ARGUMENT"
    assert "`k` should be positive" in refused["message"]
    assert "secret" not in log_file.read_text()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))  # freed by then


def test_reflection_names_the_services(model_dir):
    with (
        serve(model_dir, port=0) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        [response] = stub.ServerReflectionInfo(iter([request]), timeout=60)
    names = {service.name for service in response.list_services_response.service}
    assert {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
    } <= names


def test_models_and_policies_come_from_a_file(model_dir, bundle, tmp_path):
    (model_dir / "2").symlink_to(bundle(2), target_is_directory=True)
    config_file = tmp_path / "models.config"
    config_file.write_text(
        f'''model_config_list {{ config {{
          name: "student" base_path: "{model_dir}" model_platform: "tensorflow"
          model_version_policy {{ all {{}} }}
        }} }}'''
    )
    with serve_models(read_model_config_file(config_file), ServerOptions(port=0)) as server:
        assert server.available_versions == {"student": [2, 3]}
    with pytest.raises(ServingError, match="nowhere"):
        read_model_config_file(tmp_path / "nowhere")


@pytest.mark.parametrize("asks_clients", [False, True])
def test_tls_with_and_without_certificates_of_clients(
    model_dir, certificates, predict_request, asks_clients
):
    cert, key = (Path(certificates[name]).read_bytes() for name in ("tls_cert", "tls_key"))
    client_ca = certificates["tls_cert"] if asks_clients else ""
    with serve(model_dir, port=0, tls_client_ca=client_ca, **certificates) as server:
        known = grpc.ssl_channel_credentials(cert, key, cert)
        with grpc.secure_channel(server.address, known) as channel:
            assert predict(channel, predict_request()).model_spec.version.value == 3
        with grpc.insecure_channel(server.address) as channel:
            assert refusal(channel, predict_request())[0] == grpc.StatusCode.UNAVAILABLE
        unknown = grpc.ssl_channel_credentials(cert)
        with grpc.secure_channel(server.address, unknown) as channel:
            if asks_clients:
                assert refusal(channel, predict_request())[0] == grpc.StatusCode.UNAVAILABLE
            else:
                predict(channel, predict_request())


def test_what_cannot_be_opened_is_an_error(model_dir, tmp_path):
    with pytest.raises(ServingError, match="TLS should be readable"):
        serve(model_dir, port=0, tls_cert="nowhere", tls_key="nowhere")
    with pytest.raises(ServingError, match="access log should be a file"):
        serve(model_dir, port=0, access_log=str(tmp_path / "no" / "folder"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServingError, match="for metrics"):
            serve(model_dir, port=0, metrics_port=taken.getsockname()[1])
