import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import BERT4RecConfig, NextItNetConfig, SASRecConfig, TeacherConfig
from adarec_tf.models.item_tables import ITEM_TABLES
from adarec_tf.models.students import build_student
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.warm_start import warm_start_from

NUM_ITEMS, NUM_NEW, MAX_LENGTH = 11, 3, 6
HISTORIES = tf.constant([[0, 0, 3, 1, NUM_ITEMS, 4], [1, 2, 3, 5, 5, 7]], tf.int64)
GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "max_pool_3"]])
TEACHERS = (
    NextItNetConfig(hidden_dim=8, num_blocks=1),
    SASRecConfig(hidden_dim=8, num_blocks=1, num_heads=2, feed_forward_dim=8),
    BERT4RecConfig(hidden_dim=8, num_blocks=1, num_heads=2, feed_forward_dim=8),
)


def scramble(model: keras.Model) -> None:
    """Weights as if it had been trained."""
    generator = np.random.default_rng(4)
    for weight in model.trainable_weights:
        weight.assign_add(generator.normal(size=weight.shape, scale=0.3))


def check_old_items_are_scored_alike(model: keras.Model, earlier: keras.Model) -> None:
    outputs, expected = model(HISTORIES), earlier(HISTORIES)
    np.testing.assert_array_equal(outputs.final_states, expected.final_states)
    rows, old_rows = (one.sequence_embedding.item_vectors() for one in (model, earlier))
    np.testing.assert_array_equal(rows[:NUM_ITEMS], old_rows)
    states = expected.final_states[:, -1]
    scores, old_scores = (one.sequence_embedding.item_logits(states) for one in (model, earlier))
    assert scores.shape[1] == NUM_ITEMS + NUM_NEW
    # Products of another number of columns may be summed in another order.
    np.testing.assert_allclose(scores[:, :NUM_ITEMS], old_scores, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("config", TEACHERS, ids=lambda config: config.name)
def test_a_teacher_scores_old_items_as_the_earlier_one_did(config: TeacherConfig) -> None:
    earlier = build_teacher(config, NUM_ITEMS, MAX_LENGTH, seed=1)
    scramble(earlier)
    model = build_teacher(config, NUM_ITEMS + NUM_NEW, MAX_LENGTH, seed=2)
    warm_start_from(model, earlier)
    check_old_items_are_scored_alike(model, earlier)


def test_the_mask_goes_along_with_the_number_of_items() -> None:
    earlier = build_teacher(TEACHERS[2], NUM_ITEMS, MAX_LENGTH, seed=1)
    scramble(earlier)
    model = build_teacher(TEACHERS[2], NUM_ITEMS + NUM_NEW, MAX_LENGTH, seed=2)
    warm_start_from(model, earlier)
    states = []
    for one in (model, earlier):
        mask = tf.fill([2, 1], tf.constant(one.sequence_embedding.mask_id, tf.int64))
        masked = tf.concat([HISTORIES[:, 1:], mask], axis=1)
        states.append(one.masked_outputs(masked).final_states)
    np.testing.assert_array_equal(*states)


@pytest.mark.parametrize("format_name", ITEM_TABLES)
def test_a_student_scores_old_items_as_the_earlier_one_did(format_name: str) -> None:
    config = StudentConfig(hidden_dim=8, num_cells=1, num_nodes=2, precision=format_name)
    earlier = build_student(GENOTYPE, config, NUM_ITEMS, MAX_LENGTH, seed=1)
    scramble(earlier)
    model = build_student(GENOTYPE, config, NUM_ITEMS + NUM_NEW, MAX_LENGTH, seed=2)
    warm_start_from(model, earlier)
    check_old_items_are_scored_alike(model, earlier)


def test_models_of_another_kind_or_shape_are_refused() -> None:
    earlier = build_teacher(TEACHERS[0], NUM_ITEMS, MAX_LENGTH, seed=1)
    with pytest.raises(ValueError, match=r"its kind, SASRec. Received: NextItNet"):
        warm_start_from(build_teacher(TEACHERS[1], NUM_ITEMS, MAX_LENGTH, seed=1), earlier)
    for other in (
        build_teacher(NextItNetConfig(hidden_dim=4, num_blocks=1), NUM_ITEMS, MAX_LENGTH, seed=1),
        build_teacher(NextItNetConfig(hidden_dim=8, num_blocks=2), NUM_ITEMS, MAX_LENGTH, seed=1),
        build_teacher(TEACHERS[1], NUM_ITEMS, MAX_LENGTH + 1, seed=1),
    ):
        before = [np.array(weight) for weight in other.weights]
        source = earlier
        if type(other) is not type(earlier):
            source = build_teacher(TEACHERS[1], NUM_ITEMS, MAX_LENGTH, seed=1)
        with pytest.raises(ValueError, match="its architecture and max_length"):
            warm_start_from(other, source)
        for weight, value in zip(other.weights, before, strict=True):
            np.testing.assert_array_equal(weight, value)


def test_a_model_of_fewer_items_is_refused() -> None:
    earlier = build_teacher(TEACHERS[1], NUM_ITEMS, MAX_LENGTH, seed=1)
    model = build_teacher(TEACHERS[1], NUM_ITEMS - 1, MAX_LENGTH, seed=1)
    with pytest.raises(ValueError, match="no more items"):
        warm_start_from(model, earlier)
