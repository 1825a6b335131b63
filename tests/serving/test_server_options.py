import grpc
import numpy as np
import pytest
import tensorflow as tf

from serving.errors import ModelError, ServingError
from serving.server_options import Limits, ServerOptions


def test_a_batch_has_a_thread_for_each_request():
    assert ServerOptions(max_threads=4, batch_rows=32).num_threads == 32
    assert ServerOptions(max_threads=4).num_threads == 4


def test_what_nobody_asked_for_is_off():
    options = ServerOptions()
    names = ("access_log", "batch_rows", "metrics_port", "tls_cert", "tls_key", "tls_client_ca")
    assert not any(getattr(options, name) for name in names)


def test_every_option_is_described():
    assert all(field.description for field in ServerOptions.model_fields.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"metrics_port": 70000},
            "`metrics_port` should be less than or equal to 65535. Received: metrics_port=70000.",
        ),
        ({"max_message_bytes": 0}, "`max_message_bytes` should be greater than 0"),
        ({"poll_interval_s": 0.0}, "`poll_interval_s` should be greater than 0"),
        ({"max_threads": 0}, "`max_threads` should be greater than 0"),
        ({"drain_s": -1.0}, "`drain_s` should be greater than or equal to 0"),
        ({"batch_rows": -1}, "`batch_rows` should be greater than or equal to 0"),
        ({"batch_wait_ms": 0.0}, "`batch_wait_ms` should be greater than 0"),
        ({"tls_cert": "a.pem"}, "`tls_key` should be given with tls_cert"),
        ({"tls_key": "a.pem"}, "`tls_key` should be given with tls_cert"),
        ({"tls_client_ca": "a.pem"}, "`tls_client_ca` should be given with tls_cert"),
        (
            {"ports": 1},
            "`ports` should be an option of the server: host, port, .* Received: ports=1.",
        ),
        ({"port": "x"}, "`port` should be a valid integer, .* Received: port='x'."),
        ({"limits": ("k",)}, "should have the form history=1024x10000"),
    ],
)
def test_values_that_are_not_allowed_are_refused(values, message):
    with pytest.raises(ServingError, match=message):
        ServerOptions(**values)


def test_limits_are_parsed():
    limits = Limits(["history=1024x10000", "k=100"])
    assert limits.largest == {"history": [1024, 10000], "k": [100]}


@pytest.mark.parametrize(
    "texts", [["history"], ["k=0"], ["k=-1"], ["k=3x"], ["=3"], ["k=1", "k=2"], ["k=1.5"]]
)
def test_a_limit_of_another_form_is_refused(texts):
    with pytest.raises(ValueError, match=f"Received: '{texts[-1]}'"):
        Limits(texts)


@pytest.mark.parametrize("shape", [[2, 3], [0, 3], [2], []])
def test_inputs_within_the_limits_pass(shape):
    Limits(["history=2x3"]).check_sizes({"history": tf.make_tensor_proto(np.zeros(shape))})


@pytest.mark.parametrize("shape", [[3, 1], [1, 4], [3], [1, 4, 1]])
def test_inputs_beyond_the_limits_are_refused(shape):
    inputs = {
        "other": tf.make_tensor_proto([0] * 9),
        "history": tf.make_tensor_proto(np.zeros(shape)),
    }
    with pytest.raises(ModelError, match="should be at most 2 x 3") as failure:
        Limits(["history=2x3"]).check_sizes(inputs)
    assert failure.value.code == grpc.StatusCode.INVALID_ARGUMENT


def test_values_are_limited_where_they_are_single_numbers():
    limits = Limits(["k=10"])
    for value in (np.int32(10), np.array(-3), np.array([11, 12]), np.array(b"text", object)):
        limits.check_values({"k": value, "other": np.int32(99)})
    with pytest.raises(ModelError, match=r"'k' should be at most 10\. Received: 11\.") as failure:
        limits.check_values({"k": np.array(11, np.int32)})
    assert failure.value.code == grpc.StatusCode.INVALID_ARGUMENT
