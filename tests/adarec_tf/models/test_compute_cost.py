import pytest
import tensorflow as tf

from adarec_tf.models.compute_cost import count_macs


def test_products_are_counted_by_hand() -> None:
    weights = tf.ones([7, 3])
    assert count_macs(lambda x: tf.matmul(x, weights) + 1.0, [tf.TensorSpec([5, 7])]) == 5 * 7 * 3


def test_batched_products_are_counted() -> None:
    specs = [tf.TensorSpec([2, 5, 7]), tf.TensorSpec([2, 7, 3])]
    assert count_macs(tf.matmul, specs) == 2 * 5 * 7 * 3


def test_elementwise_work_costs_nothing() -> None:
    assert count_macs(lambda x: tf.nn.softmax(x * x), [tf.TensorSpec([5, 7])]) == 0


def test_products_of_functions_count_at_every_call() -> None:
    weights = tf.Variable(tf.ones([7, 7]))
    specs = [tf.TensorSpec([None, 7])]
    inner = tf.function(lambda x: tf.matmul(x, weights), input_signature=specs)
    twice = count_macs(lambda x: inner(inner(x)), [tf.TensorSpec([5, 7])])
    assert twice == 2 * 5 * 7 * 7


def test_what_cannot_be_counted_is_an_error() -> None:
    with pytest.raises(ValueError, match="static shape"):
        count_macs(lambda x: tf.matmul(x, x), [tf.TensorSpec([None, None])])
    with pytest.raises(ValueError, match="Einsum"):
        count_macs(lambda x: tf.einsum("ij,jk->ik", x, x), [tf.TensorSpec([3, 3])])
