import contextlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.client import RecommendClient, RecommendError
from serving.errors import ServingError
from serving.local_server import serve

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool], time_limit_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + time_limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.02)


def served_version(client: RecommendClient) -> int:
    ((item,),) = client.recommend([["i2"]], k=1)
    assert item.item_id == "i1"
    return int(item.score // 1000)


def test_swaps_under_load_lose_no_request_and_never_go_back(tmp_path, publish):
    publish(tmp_path, 1)
    answers: list[list[int]] = [[], []]
    done = threading.Event()
    with serve(tmp_path, port=0, poll_interval_s=0.05) as server:

        def ask(seen: list[int]) -> None:
            with RecommendClient(server.address, timeout_s=60) as client:
                while not done.is_set():
                    seen.append(served_version(client))

        threads = [threading.Thread(target=ask, args=(seen,)) for seen in answers]
        for thread in threads:
            thread.start()
        wait_until(lambda: all(answers))
        for version in (2, 3, 4):
            publish(tmp_path, version)
            wait_until(lambda version=version: all(s and s[-1] == version for s in answers))
        done.set()
        for thread in threads:
            thread.join()
    for seen in answers:
        assert seen == sorted(seen)
        assert set(seen) == {1, 2, 3, 4}


def test_deleting_the_newest_version_rolls_back(tmp_path, publish):
    for version in (1, 2):
        publish(tmp_path, version)
    with (
        serve(tmp_path, port=0, poll_interval_s=0.05) as server,
        RecommendClient(server.address, timeout_s=60) as client,
    ):
        assert served_version(client) == 2
        shutil.rmtree(tmp_path / "2")
        wait_until(lambda: served_version(client) == 1)
        states = {status.version: status.state for status in client.model_status()}
        assert states == {2: "END", 1: "AVAILABLE"}


def test_a_folder_that_vanishes_keeps_the_model_served(tmp_path, publish, caplog):
    publish(tmp_path / "models", 1)
    with (
        serve(tmp_path / "models", port=0, poll_interval_s=0.05) as server,
        RecommendClient(server.address, timeout_s=60) as client,
    ):
        shutil.rmtree(tmp_path / "models")
        wait_until(lambda: "Cannot look for new versions" in caplog.text)
        assert served_version(client) == 1
        publish(tmp_path / "models", 2)
        wait_until(lambda: served_version(client) == 2)


def test_an_unloadable_newest_version_at_start_falls_back(tmp_path, publish):
    publish(tmp_path, 1)
    (tmp_path / "2").mkdir()
    with serve(tmp_path, port=0) as server:
        assert server.available_versions == {"student": [1]}


def test_a_port_in_use_is_an_error(tmp_path, publish):
    publish(tmp_path, 1)
    with (
        serve(tmp_path, port=0) as server,
        pytest.raises(ServingError, match=f"Cannot listen on 127.0.0.1:{server.port}"),
    ):
        serve(tmp_path, port=server.port)


def test_an_address_with_colons_is_told_from_its_port(tmp_path, publish):
    publish(tmp_path, 1)
    nowhere = "2001:db8::1"  # of documents, and of no machine
    with pytest.raises(ServingError, match=r"Cannot listen on \[2001:db8::1\]:8500:"):
        serve(tmp_path, host=nowhere, port=8500)


def test_a_stopped_server_frees_its_port_and_refuses_requests(tmp_path, publish):
    publish(tmp_path, 1)
    with serve(tmp_path, port=0) as server:
        port = server.port
    with (
        RecommendClient(server.address, timeout_s=0.5) as client,
        pytest.raises(RecommendError, match="No model server answers"),
    ):
        client.recommend([["i1"]], k=1)
    with serve(tmp_path, port=port) as server:
        assert server.port == port


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_name": ""}, "`model_name` should not be empty"),
        ({"port": 70000}, "Received: port=70000"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(ServingError, match=message):
        serve(tmp_path, **arguments)


def test_a_missing_folder_and_an_empty_one_say_what_to_do(tmp_path):
    with pytest.raises(
        ServingError, match=r"is not a folder. Push a model there with `adarec run`"
    ):
        serve(tmp_path / "nowhere")
    (tmp_path / ".tmp-1").mkdir()
    with pytest.raises(ServingError, match=r"has none. Push a model there with `adarec run`"):
        serve(tmp_path)


def test_a_folder_with_broken_versions_only_says_why(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(ServingError, match=r"1 has no saved_model.pb. Push a new version."):
        serve(tmp_path, port=0, poll_interval_s=0.01)


@contextlib.contextmanager
def adarec_serve(model_dir: Path):
    """The command in a process of its own, and the address it tells."""
    command = [sys.executable, "-m", "adarec_tf", "serve", "--port", "0"]
    command += ["--model-dir", str(model_dir)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        told = re.search(r"version 1 as 'student' on (\S+)\.", process.stdout.readline())
        yield process, told[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_sigterm_answers_what_was_accepted_and_exits_with_0(tmp_path, publish, predict_request):
    publish(tmp_path / "student", 1)
    slow_answers, fast_answers, refusals = [], [], []
    with adarec_serve(tmp_path / "student") as (process, address):

        def ask_slowly() -> None:
            with RecommendClient(address, timeout_s=60) as client:
                slow_answers.append(client.recommend([["slow"]], k=1))

        def ask_until_refused() -> None:
            request = predict_request()
            with grpc.insecure_channel(address) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                try:
                    while True:
                        fast_answers.append(stub.Predict(request, timeout=60))
                except grpc.RpcError as refusal:
                    refusals.append(refusal.code())

        targets = [ask_slowly, *[ask_until_refused] * 4]
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        wait_until(lambda: len(fast_answers) > 20)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(timeout=60) == 0
    assert [answer[0][0].item_id for answer in slow_answers] == ["i1"]
    assert refusals == [grpc.StatusCode.UNAVAILABLE] * 4
