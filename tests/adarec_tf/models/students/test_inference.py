"""The served form of a student against the student itself: the cone, and sessions."""

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students import Genotype, Student, build_student
from adarec_tf.models.students.inference import ServedStudent
from adarec_tf.models.students.primitives import PRIMITIVES

NUM_ITEMS, MAX_LENGTH = 20, 12
GENOTYPES = {
    # Two cells of many operations; the first looks back further than a history is long.
    "wide": [
        ["dilated_4_conv_5", "conv_3", "max_pool_3", "average_pool_3", "none", "dilated_2_conv_3"],
        ["conv_5", "skip", "average_pool_3", "dilated_4_conv_3", "dilated_2_conv_5", "max_pool_3"],
    ],
    "narrow": [["conv_3", "skip", "none", "skip", "max_pool_3", "none"]],
    "dead node": [["none", "none", "conv_3", "skip", "average_pool_3", "skip"]],
    "no order": [["skip", "none", "skip", "none", "none", "none"]],
}


def make_student(primitives: list[list[str]], precision: str = "float32") -> Student:
    genotype = Genotype.from_primitives(3, primitives)
    config = StudentConfig(hidden_dim=8, precision=precision)
    student = build_student(genotype, config, NUM_ITEMS, MAX_LENGTH, seed=1)
    generator = np.random.default_rng(0)
    for variable in student.variables:  # no bias, scale or share as it was initialized
        if "float" in variable.dtype:
            variable.assign_add(0.2 * generator.normal(size=variable.shape))
    return student


def random_history(length: int) -> np.ndarray:
    return np.random.default_rng(length).integers(1, NUM_ITEMS + 1, (1, length))


def latest_first(history: np.ndarray, served: ServedStudent) -> tf.Tensor:
    latest = history[:, ::-1][:, : served.receptive_field]
    return tf.constant(np.pad(latest, [[0, 0], [0, served.receptive_field - latest.shape[1]]]))


def input_signature(served: ServedStudent) -> list[tf.TensorSpec]:
    shapes = [None, served.receptive_field], [None, 1]
    return [tf.TensorSpec(shape, tf.int64) for shape in shapes]


def assert_close(actual: tf.Tensor, expected: tf.Tensor, tolerance: float) -> None:
    atol = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, "float32") for name in GENOTYPES), ("wide", "int8")]
)
def test_the_cone_gives_the_last_state_of_the_whole(name: str, precision: str) -> None:
    student = make_student(GENOTYPES[name], precision)
    served = ServedStudent(student, MAX_LENGTH)
    encode = tf.function(served.last_states, input_signature=input_signature(served))
    for length in (1, 2, 5, MAX_LENGTH):
        history = random_history(length)
        expected = student(history).final_states[:, -1]
        states = encode(latest_first(history, served), tf.constant([[length]], tf.int64))
        assert_close(states, expected, 2e-6)
        # So does what a validation ranks by, which is of no cone, but of the positions in view.
        scores = student.predict_on_batch(np.pad(history, [[0, 0], [MAX_LENGTH - length, 0]]))
        assert_close(scores, student.sequence_embedding.item_logits(expected), 2e-6)


def test_the_cone_is_as_wide_as_what_the_last_state_depends_on() -> None:
    student = make_student([["conv_3", "skip", "dilated_2_conv_3", "none", "none", "skip"]] * 2)
    assert ServedStudent(student, 50).receptive_field == 1 + 2 * (2 + 4)
    assert ServedStudent(student, MAX_LENGTH).receptive_field == MAX_LENGTH
    narrow = make_student(GENOTYPES["narrow"])
    served = ServedStudent(narrow, MAX_LENGTH)
    assert served.receptive_field == 1 + 2 + 2
    short, long = random_history(MAX_LENGTH), random_history(MAX_LENGTH)
    short[0, : -served.receptive_field] = 1
    long[0, -served.receptive_field :] = short[0, -served.receptive_field :]
    same = [narrow(history).final_states[0, -1] for history in (short, long)]
    np.testing.assert_array_equal(*same)


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    student = make_student(GENOTYPES["wide"])
    served = ServedStudent(student, MAX_LENGTH)
    lengths = [1, 4, MAX_LENGTH]
    latest = tf.concat([latest_first(random_history(n), served) for n in lengths], axis=0)
    states = served.last_states(latest, tf.constant(lengths, tf.int64)[:, tf.newaxis])
    for row, length in enumerate(lengths):
        assert_close(states[row], student(random_history(length)).final_states[0, -1], 2e-6)


@pytest.mark.parametrize("name", GENOTYPES)
def test_a_session_equals_the_whole_history_after_every_item(name: str) -> None:
    student = make_student(GENOTYPES[name])
    served = ServedStudent(student, MAX_LENGTH)
    step = tf.function(
        served.step,
        input_signature=[
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None, served.session_size], tf.float32),
        ],
    )
    histories = np.concatenate([random_history(MAX_LENGTH), random_history(MAX_LENGTH)[:, ::-1]])
    expected = student(histories).final_states
    sessions = tf.zeros([2, served.session_size])
    for position in range(MAX_LENGTH):
        states, sessions = step(tf.constant(histories[:, position]), sessions)
        assert_close(states, expected[:, position], 1e-5)


def test_an_unknown_item_leaves_its_session_as_it_is() -> None:
    served = ServedStudent(make_student(GENOTYPES["wide"]), MAX_LENGTH)
    empty = tf.zeros([2, served.session_size])
    np.testing.assert_array_equal(served.step(tf.constant([0, 0]), empty).last_states, 0.0)
    states, sessions = served.step(tf.constant([3, 4]), empty)
    again, after = served.step(tf.constant([0, 5]), sessions)
    np.testing.assert_array_equal(after[0], sessions[0])
    np.testing.assert_array_equal(again[0], states[0])
    assert np.any(after[1] != sessions[1])


def test_every_operation_has_a_form_for_serving() -> None:
    for name, primitive in PRIMITIVES.items():
        genotype = [[name, "skip", "none", "skip", "none", "none"]]
        student = make_student(genotype)
        history = random_history(7)
        served = ServedStudent(student, MAX_LENGTH)
        assert served.receptive_field == min(1 + primitive.reach, MAX_LENGTH)
        states = served.last_states(latest_first(history, served), tf.constant([[7]], tf.int64))
        assert_close(states, student(history).final_states[:, -1], 2e-6)


def test_weights_are_constants_of_the_graph() -> None:
    student = make_student(GENOTYPES["narrow"])
    served = ServedStudent(student, MAX_LENGTH)
    encode = tf.function(served.last_states).get_concrete_function(*input_signature(served))
    table = student.sequence_embedding.item_table.variable
    assert [id(handle) for handle in encode.captured_inputs] == [id(table.value.handle)]


def test_no_shape_is_left_to_be_computed() -> None:
    """Each such node would take as long as one that computes something."""
    for primitives in GENOTYPES.values():
        served = ServedStudent(make_student(primitives), MAX_LENGTH)
        encode = tf.function(served.last_states).get_concrete_function(*input_signature(served))
        functions = encode.graph.as_graph_def().library.function
        nodes = [*encode.graph.as_graph_def().node, *(n for f in functions for n in f.node_def)]
        assert not {"Shape", "Pack", "Range", "Fill"} & {node.op for node in nodes}
