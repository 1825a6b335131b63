"""Parameters and multiply-adds by hand."""

import keras
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.model_cost import (
    count_macs,
    count_parameters,
    encoder_macs,
    served_macs,
)
from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs
from adarec_tf.models.students import Genotype, build_student
from tests.adarec_tf.tiny_scene import HIDDEN_DIM, KERNEL_SIZE, build_convolution_model

NUM_ITEMS = 11
MAX_LENGTH = 7


class DenseModel(keras.Model):
    """Two dense layers, the products of which are easy to count."""

    def __init__(self, item_table: str = "float32") -> None:
        super().__init__()
        self.sequence_embedding = SequenceEmbedding(
            NUM_ITEMS, 4, MAX_LENGTH, use_positions=False, dropout=0.5, item_table=item_table
        )
        self.layers_in_order = [keras.layers.Dense(10), keras.layers.Dense(4)]

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        states = self.sequence_embedding(item_ids, training=training)
        wide = self.layers_in_order[0](states)
        final_states = self.layers_in_order[1](wide)
        return SequenceOutputs(states, (final_states,), final_states)


def build_dense_model() -> DenseModel:
    model = DenseModel()
    model(tf.constant([[1]], tf.int64))
    return model


def test_parameters_of_a_dense_model() -> None:
    counts = count_parameters(build_dense_model())
    assert counts.embedding == (NUM_ITEMS + 1) * 4
    assert counts.total == counts.embedding + (4 * 10 + 10) + (10 * 4 + 4)


def test_a_table_in_bytes_has_as_many_parameters() -> None:
    plain = count_parameters(build_convolution_model(NUM_ITEMS, MAX_LENGTH))
    assert plain.table_bytes == 4 * (NUM_ITEMS + 1) * HIDDEN_DIM
    model = DenseModel("int8")
    model(tf.constant([[1]], tf.int64))
    counts = count_parameters(model)
    assert counts.embedding == (NUM_ITEMS + 1) * 4
    assert counts.table_bytes == (NUM_ITEMS + 1) * (4 + 4)


def test_position_table_is_part_of_the_embedding() -> None:
    counts = count_parameters(build_convolution_model(NUM_ITEMS, MAX_LENGTH))
    assert counts.embedding == (NUM_ITEMS + 1 + MAX_LENGTH) * HIDDEN_DIM
    assert counts.total == counts.embedding + KERNEL_SIZE * HIDDEN_DIM**2 + HIDDEN_DIM


def test_macs_of_a_dense_model() -> None:
    assert encoder_macs(build_dense_model(), MAX_LENGTH) == MAX_LENGTH * (4 * 10 + 10 * 4)


@pytest.mark.parametrize("max_length", [1, MAX_LENGTH])
def test_macs_of_a_convolution_include_its_padded_taps(max_length: int) -> None:
    model = build_convolution_model(NUM_ITEMS, max_length)
    assert encoder_macs(model, max_length) == max_length * KERNEL_SIZE * HIDDEN_DIM**2


def test_a_served_student_multiplies_for_the_cone_of_the_last_position() -> None:
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "dilated_2_conv_3"]])
    config = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2)
    student = build_student(genotype, config, NUM_ITEMS, MAX_LENGTH, seed=1)
    # The last position reads node 1 at 5 of the latest ones, itself included.
    assert served_macs(student, MAX_LENGTH) == (5 + 1) * 3 * 4 * 4
    assert encoder_macs(student, MAX_LENGTH) == 2 * MAX_LENGTH * 3 * 4 * 4


def test_any_other_model_is_served_with_all_positions() -> None:
    model = build_dense_model()
    assert served_macs(model, MAX_LENGTH) == encoder_macs(model, MAX_LENGTH)


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
