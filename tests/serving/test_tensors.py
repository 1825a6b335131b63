"""Tensors without TensorFlow, against TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving import tensors
from serving.messages import TensorProto


def as_array(proto: TensorProto) -> np.ndarray:
    return tf.make_ndarray(tensor_pb2.TensorProto.FromString(proto.SerializeToString()))


def as_proto(value: object) -> TensorProto:
    return TensorProto.FromString(tf.make_tensor_proto(value).SerializeToString())


def test_what_a_client_writes_is_what_tensorflow_reads() -> None:
    assert as_array(tensors.int32_scalar(7)) == np.int32(7)
    assert as_array(tensors.int32_scalar(7)).shape == ()
    assert as_array(tensors.bool_scalar(False)) == np.bool_(False)
    assert as_array(tensors.string_vector([b"a", b""])).tolist() == [b"a", b""]
    matrix = as_array(tensors.string_matrix([[b"a"], [], [b"b", "é".encode()]]))
    assert matrix.tolist() == [[b"", b"a"], [b"", b""], [b"b", "é".encode()]]
    assert as_array(tensors.string_matrix([[], []])).shape == (2, 1)
    rows = [tensors.float_bytes([1.5, -2.0]), tensors.float_bytes([0.1, 3.0])]
    np.testing.assert_array_equal(
        as_array(tensors.float_matrix(rows)), np.array([[1.5, -2.0], [0.1, 3.0]], np.float32)
    )
    assert as_array(tensors.float_matrix([b"", b""])).shape == (2, 0)


@pytest.mark.parametrize("value", [[[1.5, 2.5, 0.1]], [[2.0, 2.0]], [["a", "é"]], [["", ""]]])
def test_what_tensorflow_writes_is_what_a_client_reads(value: list) -> None:
    tensor = tensors.read_tensor(as_proto(value))
    assert tensor.shape == (1, len(value[0]))
    [row] = tensor.rows()
    expected = np.array(value[0], np.float32 if isinstance(value[0][0], float) else None)
    decoded = [item.decode() if isinstance(item, bytes) else item for item in row]
    np.testing.assert_array_equal(decoded, expected)


def test_rows_are_cut_where_the_shape_says() -> None:
    tensor = tensors.read_tensor(as_proto(np.arange(6, dtype=np.float32).reshape(3, 2)))
    assert [list(row) for row in tensor.rows()] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (TensorProto(dtype=9), "float32 or string"),
        (TensorProto(dtype=1, tensor_shape={"dim": [{"size": 3}]}, float_val=[1, 2]), "3 values"),
        (TensorProto(dtype=7, tensor_shape={"dim": [{"size": -1}]}), "values"),
    ],
)
def test_what_is_no_tensor_of_its_shape_is_refused(proto: TensorProto, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tensors.read_tensor(proto)
