"""The requests of a bundle as tensors."""

import tensorflow as tf

from adarec_tf.export.warm_up import key_matrix, request_tensors, serialized_example


def test_rows_are_padded_on_the_left() -> None:
    matrix = key_matrix([["a"], ["b", "é"]])
    assert matrix.numpy().tolist() == [[b"", b"a"], [b"b", "é".encode()]]


def test_no_histories_become_an_empty_matrix() -> None:
    assert request_tensors([], 3, True)["history"].shape == (0, 0)
    assert request_tensors([[]], 3, True)["history"].shape == (1, 0)


def test_an_example_holds_the_keys_in_order() -> None:
    example = tf.train.Example.FromString(serialized_example(["a", "é"]))
    assert example.features.feature["history"].bytes_list.value == [b"a", "é".encode()]
