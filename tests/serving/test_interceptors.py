import contextlib
import threading
import time
from concurrent import futures

import grpc
import pytest

from serving import interceptors
from serving.interceptors import RequestInterceptor, ServerMetrics, open_access_log
from serving.served_models import ServedModels


@pytest.fixture
def gate() -> RequestInterceptor:
    return RequestInterceptor(ServerMetrics(ServedModels(1.0)), open_access_log(""))


@pytest.fixture
def channel(gate):
    echo = grpc.method_handlers_generic_handler(
        "tensorflow.serving.Echo",
        {"Say": grpc.unary_unary_rpc_method_handler(lambda request, context: request)},
    )
    other = grpc.method_handlers_generic_handler(
        "other.Echo",
        {"Say": grpc.unary_unary_rpc_method_handler(lambda request, context: request)},
    )
    server = grpc.server(futures.ThreadPoolExecutor(2), (echo, other), interceptors=[gate])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(None).wait()


def test_an_open_gate_lets_requests_pass(channel):
    assert channel.unary_unary("/tensorflow.serving.Echo/Say")(b"a", timeout=5) == b"a"


def test_a_closed_gate_refuses_the_api_and_nothing_else(channel, gate):
    gate.close()
    with pytest.raises(grpc.RpcError) as failure:
        channel.unary_unary("/tensorflow.serving.Echo/Say")(b"a", timeout=5)
    assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
    assert channel.unary_unary("/other.Echo/Say")(b"a", timeout=5) == b"a"


def test_closing_waits_for_callers_to_notice_but_not_for_ever(channel, gate, monkeypatch):
    monkeypatch.setattr(interceptors, "_QUIET_S", 0.5)
    say = channel.unary_unary("/tensorflow.serving.Echo/Say")
    say(b"a", timeout=5)  # connecting may take longer than a quiet moment
    closed = threading.Thread(target=gate.close)
    started_s = time.monotonic()
    closed.start()
    while closed.is_alive() and time.monotonic() - started_s < 5:
        with contextlib.suppress(grpc.RpcError):
            say(b"a", timeout=5)
    assert 1.0 <= time.monotonic() - started_s < 5
