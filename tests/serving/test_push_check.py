import contextlib
import re
import shutil
import socket
from concurrent import futures
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse, ModelVersionStatus
from tensorflow_serving.apis.model_service_pb2_grpc import (
    ModelServiceServicer,
    add_ModelServiceServicer_to_server,
)
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

from serving import push_check
from serving.client import RecommendClient
from serving.connection import read_credentials
from serving.errors import ServingError
from serving.local_server import serve
from serving.push_check import check_push, main

LONG_S = 60.0


@pytest.fixture
def push(tmp_path, publish, predict_request, write_warm_up):
    """Publishes a version with warm-up requests, of which the last may name an item."""

    def publish_with_requests(version: int, item: str = "i1") -> Path:
        unfinished = publish(tmp_path / "elsewhere", version)
        write_warm_up(unfinished, [predict_request([["i2"]]), predict_request([[item]])])
        (tmp_path / "models").mkdir(exist_ok=True)
        return unfinished.rename(tmp_path / "models" / str(version))

    return publish_with_requests


@pytest.fixture
def server(tmp_path, push):
    push(1)
    with serve(tmp_path / "models", port=0, poll_interval_s=0.05) as running:
        yield running


def test_a_version_that_answers_passes(server, push):
    assert check_push(server.address, "student", 2, push(2), LONG_S) == 2


def test_a_version_that_does_not_load_fails_with_the_reason(server, push, tmp_path):
    bundle = push(2)
    broken = shutil.copytree(bundle, tmp_path / "models" / ".tmp-3")
    (broken / "saved_model.pb").write_bytes(b"\xff")
    broken.rename(tmp_path / "models" / "3")
    with pytest.raises(ServingError, match=r"does not serve version 3: .* is damaged"):
        check_push(server.address, "student", 3, bundle, LONG_S)


def test_a_version_that_a_stock_server_tries_for_minutes_fails_with_the_reason(
    push, tmp_path, monkeypatch
):
    monkeypatch.setattr(push_check, "_LOADING_TIME_S", 0.0)
    push(1)
    options = {"load_retries": 5, "load_retry_interval_s": 3600.0}
    with serve(tmp_path / "models", port=0, poll_interval_s=0.05, **options) as server:
        broken = shutil.copytree(tmp_path / "models" / "1", tmp_path / "broken")
        (broken / "saved_model.pb").write_bytes(b"\xff")
        bundle = broken.rename(tmp_path / "models" / "2")
        with pytest.raises(ServingError, match=r"loading version 2 without end, .* is damaged"):
            check_push(server.address, "student", 2, bundle, LONG_S)
        with RecommendClient(server.address) as client:
            [newest, served] = client.model_status()
    assert newest == (2, "LOADING", 0, "")
    assert (served.version, served.state) == (1, "AVAILABLE")


class ScriptedServer(PredictionServiceServicer, ModelServiceServicer):
    """Calls version 1 what it is told, and answers, or fails with a code."""

    def __init__(self, state: str, code: str = "") -> None:
        self.state, self.code, self.num_asked = state, code, 0

    def GetModelStatus(self, request, context):  # noqa: N802
        state = ModelVersionStatus.State.Value(self.state)
        status = ModelVersionStatus(version=1, state=state)
        return GetModelStatusResponse(model_version_status=[status])

    def Predict(self, request, context):  # noqa: N802
        self.num_asked += 1
        if self.code:
            context.abort(grpc.StatusCode[self.code], "a variable is not found")
        return PredictResponse(
            model_spec=request.model_spec, outputs={"x": tf.make_tensor_proto(1)}
        )


@contextlib.contextmanager
def running(script: ScriptedServer):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_PredictionServiceServicer_to_server(script, server)
    add_ModelServiceServicer_to_server(script, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("NOT_FOUND", r"Request 0 failed: a variable is not found \(NOT_FOUND\)"),
        ("FAILED_PRECONDITION", r"Request 0 failed: a variable is not found \(FAILED_PREC"),
    ],
)
def test_that_a_version_is_called_available_proves_nothing(push, code, reason):
    script = ScriptedServer("AVAILABLE", code)
    with running(script) as address, pytest.raises(ServingError, match=reason):
        check_push(address, "student", 1, push(1), LONG_S)
    assert script.num_asked == 1


def test_an_answer_decides_whatever_the_version_is_called(push):
    script = ScriptedServer("LOADING")
    with running(script) as address:
        assert check_push(address, "student", 1, push(1), LONG_S) == 2


def test_a_version_that_loads_here_alone_is_waited_for_and_the_log_named(push, monkeypatch):
    monkeypatch.setattr(push_check, "_LOADING_TIME_S", 0.0)
    script = ScriptedServer("LOADING", "NOT_FOUND")
    with (
        running(script) as address,
        pytest.raises(ServingError, match=r"state is LOADING\. The bundle loads here: .* log says"),
    ):
        check_push(address, "student", 1, push(1), 1.0)
    assert script.num_asked > 1


def test_a_version_that_fails_a_request_fails(
    server, tmp_path, push, write_warm_up, predict_request
):
    bundle = shutil.copytree(tmp_path / "models" / "1", tmp_path / "bundle")
    shutil.rmtree(bundle / "assets.extra")
    write_warm_up(bundle, [predict_request([["broken"]])])
    with pytest.raises(
        ServingError, match=r"Request 0 failed: .*A broken item.*\(INVALID_ARGUMENT\)"
    ):
        check_push(server.address, "student", 1, bundle, LONG_S)


@pytest.mark.parametrize(
    ("answer", "received"),
    [
        ({"version": 1}, r"version 1, outputs \['item_ids', 'scores'\]"),
        ({"has_outputs": False}, r"version 2, outputs \[\]"),
    ],
)
def test_an_answer_of_another_version_or_without_outputs_does_not_count(
    answer, received, server, push, monkeypatch
):
    predict = RecommendClient.predict

    def answered_otherwise(client, request):
        response = predict(client, request)
        response.model_spec.version.value = answer.get("version", 2)
        if not answer.get("has_outputs", True):
            response.outputs.clear()
        return response

    monkeypatch.setattr(RecommendClient, "predict", answered_otherwise)
    bundle = push(2)
    with pytest.raises(ServingError, match=rf"Request 0 .* version 2 .* Received: {received}"):
        check_push(server.address, "student", 2, bundle, LONG_S)


def test_a_version_that_does_not_appear_fails(server, tmp_path):
    bundle = tmp_path / "models" / "1"
    with pytest.raises(ServingError, match=r"version 7 of 'student' .* watches another one"):
        check_push(server.address, "student", 7, bundle, 0.5)


def test_a_server_that_is_not_there_fails(tmp_path, push):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(ServingError, match=r"No model server answers at .* \(.*connect"):
        check_push(address, "student", 1, push(1), 0.5)


def test_a_server_with_tls_is_asked_with_its_ca_and_a_certificate(
    push, tmp_path, certificates, capsys
):
    bundle = push(1)
    cert, key = certificates.values()
    with serve(tmp_path / "models", port=0, tls_client_ca=cert, **certificates) as server:
        arguments = ["--server", server.address, "--version", "1", "--bundle", str(bundle)]
        assert main([*arguments, "--tls-ca", cert, "--tls-cert", cert, "--tls-key", key]) == 0
        assert main([*arguments, "--time-limit-s", "0.2"]) == 1
        assert main([*arguments, "--time-limit-s", "0.2", "--tls-ca", cert]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "speaks TLS, and this client plain text" in errors[0]
    assert "No model server answers with TLS" in errors[1]


@pytest.mark.parametrize("is_key_first", [False, True])
def test_a_certificate_and_its_key_may_be_in_one_file(push, tmp_path, certificates, is_key_first):
    parts = [Path(path).read_text() for path in certificates.values()]
    combined = tmp_path / "combined.pem"
    combined.write_text("".join(reversed(parts) if is_key_first else parts))
    cert, file = certificates["tls_cert"], str(combined)
    bundle = push(1)
    with serve(
        tmp_path / "models", port=0, tls_cert=file, tls_key=file, tls_client_ca=cert
    ) as server:
        credentials = read_credentials(cert, file, file)
        assert check_push(server.address, "student", 1, bundle, LONG_S, credentials) == 2
        with pytest.raises(ServingError, match="No model server answers with TLS"):
            check_push(server.address, "student", 1, bundle, 0.2, read_credentials(cert))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--tls-ca": "nowhere.pem"}, "TLS should be readable: .*nowhere.pem"),
        ({"--tls-cert": "c", "--tls-key": "k"}, "together, and with `tls_ca`"),
        ({"--tls-ca": "ca", "--tls-cert": "c"}, "`tls_cert` and `tls_key` should be given"),
    ],
)
def test_files_for_tls_are_readable_and_complete(options, message, tmp_path, capsys):
    arguments = [part for option in options.items() for part in option]
    assert main(["--server", "x:1", "--version", "1", "--bundle", str(tmp_path), *arguments]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_bundle_without_requests_is_refused(publish, tmp_path, write_warm_up, capsys):
    bundle = publish(tmp_path, 1)
    with pytest.raises(ServingError, match="should bring at least one warm-up request"):
        check_push("x:1", "student", 1, bundle, LONG_S)
    write_warm_up(bundle, [])
    arguments = ["--server", "x:1", "--version", "1", "--bundle", str(bundle)]
    assert main(arguments) == 1
    assert "should bring at least one warm-up request" in capsys.readouterr().err
