import grpc
import numpy as np
import pytest
import tensorflow as tf

from serving.errors import ModelError
from serving.server_options import Limits


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
