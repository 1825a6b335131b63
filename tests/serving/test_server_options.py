import pytest

from serving.errors import ServingError
from serving.server_options import ServerOptions


def test_a_batch_has_a_thread_for_each_request():
    assert ServerOptions(max_threads=4, batch_rows=32).num_threads == 32
    assert ServerOptions(max_threads=4).num_threads == 4


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
