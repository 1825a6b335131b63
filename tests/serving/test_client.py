import asyncio
import threading
import time
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest
import tensorflow as tf
from click.testing import CliRunner
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from adarec_tf import cli
from serving import client as client_module
from serving.client import (
    AsyncRecommendClient,
    RecommendClient,
    RecommendedItem,
    RecommendError,
    parse_history,
)
from serving.connection import read_credentials
from serving.local_server import serve

SOON_S = 0.5


def test_the_names_that_the_module_offers_are_there():
    assert [name for name in client_module.__all__ if not hasattr(client_module, name)] == []


class ScriptedService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Fails with the given codes, one per call, then answers; keeps the requests."""

    def __init__(self, failures=(), outputs=None) -> None:
        self.failures = list(failures)
        self.outputs = {"item_ids": [["a"]], "scores": [[1.0]]} if outputs is None else outputs
        self.requests: list[predict_pb2.PredictRequest] = []

    def Predict(self, request, context):  # noqa: N802
        self.requests.append(request)
        if self.failures:
            context.abort(self.failures.pop(0), "scripted")
        outputs = {name: tf.make_tensor_proto(value) for name, value in self.outputs.items()}
        return predict_pb2.PredictResponse(outputs=outputs)


@contextmanager
def running(service: ScriptedService, port: int = 0):
    server = grpc.server(
        futures.ThreadPoolExecutor(2), options=[("grpc.max_send_message_length", -1)]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def address(bundle, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("models")
    (model_dir / "0").symlink_to(bundle(0), target_is_directory=True)
    with serve(model_dir, port=0) as server:
        yield server.address


def test_recommendations_are_named_scored_and_ordered(address):
    with RecommendClient(address) as client:
        answers = client.recommend([["i1", "i3"], [], ["unknown"]], k=2)
    assert answers == [
        [RecommendedItem("i2", 7.0), RecommendedItem("i4", 5.0)],
        [RecommendedItem("i1", 8.0), RecommendedItem("i2", 7.0)],
        [RecommendedItem("i1", 8.0), RecommendedItem("i2", 7.0)],
    ]


def test_seen_items_can_be_kept(address):
    with RecommendClient(address) as client:
        ((item,),) = client.recommend([["i1"]], k=1, exclude_seen=False)
    assert item.item_id == "i1"


def test_rows_that_run_out_of_candidates_are_shorter(address):
    with RecommendClient(address) as client:
        short, full = client.recommend([[f"i{n}" for n in range(1, 7)], []], k=20)
    assert [item.item_id for item in short] == ["i7", "i8"]
    assert len(full) == 8


def test_histories_are_padded_on_the_left():
    service = ScriptedService(outputs={"item_ids": [["a"], ["é"]], "scores": [[1.0], [2.0]]})
    with running(service) as address, RecommendClient(address) as client:
        answers = client.recommend([["x"], ["é", "a,b"]], k=1)
    history = tf.make_ndarray(service.requests[0].inputs["history"])
    assert history.tolist() == [[b"", b"x"], ["é".encode(), b"a,b"]]
    assert answers == [[("a", 1.0)], [("é", 2.0)]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("i1,i2", 1), "`histories` should be a sequence"),
        ((None, 1), "`histories` should be a sequence"),
        ((["i1"], 1), r"`histories\[0\]` should be a sequence"),
        (([[1]], 1), r"`histories\[0\]` should hold item ids as text. Received: 1"),
        (([["\ud800"]], 1), "valid Unicode"),
        (([["i1"]], 0), "`k` should be a positive integer. Received: k=0"),
        (([["i1"]], 2**31), "`k` should be a positive integer"),
        (([["i1"]], True), "`k` should be a positive integer"),
        (([["i1"]], 1, 1), "`exclude_seen` should be True or False"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(arguments, message):
    service = ScriptedService()
    with (
        running(service) as address,
        RecommendClient(address) as client,
        pytest.raises(RecommendError, match=message),
    ):
        client.recommend(*arguments)
    assert service.requests == []


@pytest.mark.parametrize(
    "failure", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
def test_passing_failures_are_retried(failure):
    service = ScriptedService([failure, failure])
    with running(service) as address, RecommendClient(address) as client:
        assert client.recommend([["x"]], k=1) == [[("a", 1.0)]]
    assert len(service.requests) == 3


@pytest.mark.parametrize(
    "failure",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    ],
)
def test_other_failures_are_not_retried(failure):
    service = ScriptedService([failure])
    with (
        running(service) as address,
        RecommendClient(address) as client,
        pytest.raises(RecommendError, match=rf"refused: scripted \({failure.name}\)") as refusal,
    ):
        client.recommend([["x"]], k=1)
    assert len(service.requests) == 1
    assert refusal.value.code == failure.name


def test_the_asyncio_client_retries_and_keeps_the_time_limit_as_well():
    async def ask(address):
        async with AsyncRecommendClient(address, timeout_s=5) as client:
            return await asyncio.gather(*(client.recommend([["x"]], k=1) for _ in range(3)))

    service = ScriptedService([grpc.StatusCode.UNAVAILABLE] * 2)
    with running(service) as address:
        assert asyncio.run(ask(address)) == [[[("a", 1.0)]]] * 3
    assert len(service.requests) == 5


def test_an_unreachable_server_is_told_by_the_asyncio_client_too():
    async def ask():
        async with AsyncRecommendClient("127.0.0.1:1", timeout_s=SOON_S) as client:
            await client.recommend([["x"]], k=1)

    with pytest.raises(RecommendError, match=r"No model server answers at 127\.0\.0\.1:1"):
        asyncio.run(ask())


def test_the_time_limit_of_a_call_goes_before_the_clients(address):
    with RecommendClient(address, timeout_s=30) as client:
        client.recommend([["i1"]], k=1)  # connects
        with pytest.raises(RecommendError, match=r"did not answer within 0\.2 s"):
            client.recommend([["slow"]], k=1, timeout_s=0.2)


def test_calls_take_turns_on_the_connections():
    service = PeerService()
    with running(service) as address, RecommendClient(address, num_connections=2) as client:
        for _ in range(4):
            client.recommend([["x"]], k=1)
    assert len(set(service.peers)) == 2
    assert service.peers[:2] == service.peers[2:]


class PeerService(ScriptedService):
    """Remembers where the calls came from."""

    def __init__(self) -> None:
        super().__init__()
        self.peers: list[str] = []

    def Predict(self, request, context):  # noqa: N802
        self.peers.append(context.peer())
        return super().Predict(request, context)


def test_retries_end_with_the_deadline():
    service = ScriptedService([grpc.StatusCode.RESOURCE_EXHAUSTED] * 100)
    with (
        running(service) as address,
        RecommendClient(address, timeout_s=0.05) as client,
        pytest.raises(RecommendError, match=r"busy|did not answer within 0\.05 s"),
    ):
        client.recommend([["x"]], k=1)
    assert len(service.requests) <= 5


def test_a_server_that_comes_back_is_found_again():
    with running(ScriptedService()) as address, RecommendClient(address) as client:
        client.recommend([["x"]], k=1)
        port = int(address.rsplit(":", 1)[1])
    with RecommendClient(address) as client:
        answers = []
        thread = threading.Thread(target=lambda: answers.extend(client.recommend([["x"]], k=1)))
        thread.start()
        thread.join(0.15)
        with running(ScriptedService(), port):
            thread.join()
    assert answers == [[("a", 1.0)]]


def test_an_unreachable_server_says_how_to_start_one():
    with (
        RecommendClient("127.0.0.1:1", timeout_s=SOON_S) as client,
        pytest.raises(
            RecommendError, match=r"No model server answers at 127\.0\.0\.1:1\. .*adarec serve"
        ),
    ):
        client.recommend([["x"]], k=1)


def test_a_client_is_closed_in_silence_after_calls_that_failed(address, monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: told.append(failure.exc_value))
    for target, history in [(address, "slow"), ("127.0.0.1:1", "i1")]:
        with RecommendClient(target) as client:
            for _ in range(2):
                with pytest.raises(RecommendError):
                    client.recommend([[history]], k=1, timeout_s=0.1)
    time.sleep(0.5)  # what outlived the channel would look at it
    assert told == []


@pytest.fixture(scope="module")
def tls_address(bundle, tmp_path_factory, certificates):
    model_dir = tmp_path_factory.mktemp("models")
    (model_dir / "0").symlink_to(bundle(0), target_is_directory=True)
    with serve(model_dir, port=0, **certificates) as server:
        yield server.address


@pytest.mark.parametrize("timeout_s", [SOON_S, 30])
def test_a_client_of_plain_text_is_told_that_its_server_speaks_tls(tls_address, timeout_s):
    async def ask():
        async with AsyncRecommendClient(tls_address, timeout_s=timeout_s) as client:
            await client.recommend([["x"]], k=1)

    message = "speaks TLS, and this client plain text. Give the client `credentials`"
    with RecommendClient(tls_address, timeout_s=timeout_s) as client:
        for failing in (lambda: client.recommend([["x"]], k=1), lambda: asyncio.run(ask())):
            with pytest.raises(RecommendError, match=message) as failure:
                failing()
            assert failure.value.code == "UNAVAILABLE"


def test_a_client_of_tls_is_told_what_is_wrong(address, tls_address, certificates):
    credentials = read_credentials(certificates["tls_cert"])
    with RecommendClient(tls_address, credentials=credentials) as client:
        assert client.recommend([["i1"]], k=1)
    for target, wrong, reason in [
        (address, credentials, "WRONG_VERSION_NUMBER"),
        (tls_address, grpc.ssl_channel_credentials(), "CERTIFICATE_VERIFY_FAILED"),
    ]:
        with (
            RecommendClient(target, credentials=wrong) as client,
            pytest.raises(RecommendError, match=f"No model server answers with TLS at .*{reason}"),
        ):
            client.recommend([["i1"]], k=1, timeout_s=30)


def test_a_slow_answer_says_how_to_wait_longer(address):
    with RecommendClient(address, timeout_s=0.2) as client:
        client.recommend([["i1"]], k=1, timeout_s=30)  # connects
        with pytest.raises(RecommendError, match=r"within 0.2 s. Raise the timeout"):
            client.recommend([["slow"]], k=1)


@pytest.mark.parametrize(
    "outputs",
    [
        {"logits": [[1.0]]},
        {"item_ids": [["a"]], "scores": [1.0]},
        {"item_ids": [["a"]], "scores": [[1.0, 2.0]]},
        {"item_ids": [], "scores": []},
        {"item_ids": [[1.0]], "scores": [[1.0]]},
    ],
)
def test_answers_of_another_kind_of_model_are_refused(outputs):
    with (
        running(ScriptedService(outputs=outputs)) as address,
        RecommendClient(address) as client,
        pytest.raises(RecommendError, match="The model") as failure,
    ):
        client.recommend([["x"]], k=1)
    assert failure.value.code == "INTERNAL"


def test_answers_beyond_grpcs_default_limit_arrive():
    names = [["x" * 6_000_000]]
    service = ScriptedService(outputs={"item_ids": names, "scores": [[1.0]]})
    with running(service) as address, RecommendClient(address) as client:
        ((item,),) = client.recommend([["x"]], k=1)
    assert len(item.item_id) == 6_000_000


def test_model_status_names_states(address):
    with RecommendClient(address) as client:
        assert client.model_status() == [(0, "AVAILABLE", 0, "")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"target": ""},
        {"target": "x", "model_name": ""},
        {"target": "x", "timeout_s": 0},
        {"target": "x", "num_connections": 0},
    ],
)
def test_clients_with_bad_arguments_are_refused(arguments):
    with pytest.raises(RecommendError):
        RecommendClient(**arguments)


@pytest.mark.parametrize(
    ("text", "history"),
    [
        ("", []),
        ("12,7,31", ["12", "7", "31"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""x"""', ['say "x"']),
    ],
)
def test_a_history_is_one_csv_line(text, history):
    assert parse_history(text) == history


@pytest.mark.parametrize("text", ['"open', "a\nb", '"a"b'])
def test_a_history_that_is_no_csv_line_is_refused(text):
    with pytest.raises(RecommendError, match="one line of comma-separated item ids"):
        parse_history(text)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--history", "i1,i2", "--k", "2"], 0, "i3\t6\ni4\t5\n"),
        (["--history", "i1", "--k", "1", "--keep-seen"], 0, "i1\t8\n"),
        (["--history", "i1", "--k", "0"], 1, "`k` should be a positive integer. Received: k=0.\n"),
    ],
)
def test_the_command_line_asks_a_server(address, options, code, told):
    result = CliRunner().invoke(cli.main, ["recommend", "--server", address, *options])
    assert result.exit_code == code
    assert result.output.removeprefix("Error: ") == told
