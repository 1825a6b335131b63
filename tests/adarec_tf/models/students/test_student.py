import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.models.item_tables import ITEM_TABLES
from adarec_tf.models.students import Genotype, Student, build_student
from adarec_tf.training.train_teacher import train_teacher
from tests.adarec_tf import walk_scene

CONFIG = StudentConfig(hidden_dim=8, num_cells=2, num_nodes=2, dropout=0.1)
GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "dilated_2_conv_3"]] * 2)


def _student(genotype: Genotype = GENOTYPE, table_format: str = "float32") -> Student:
    config = CONFIG.replace(precision=table_format)
    return build_student(genotype, config, 16, 8, seed=1)


@pytest.mark.parametrize("table_format", StudentConfig.choices("precision"))
def test_saved_student_loads_with_one_call_and_answers_alike(
    tmp_path: Path, table_format: str
) -> None:
    student = _student(table_format=table_format)
    item_ids = tf.constant([[0, 0, 3, 5], [1, 2, 3, 4]], tf.int64)
    path = tmp_path / "student.keras"
    student.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.genotype == GENOTYPE
    table, loaded_table = (m.sequence_embedding.item_table for m in (student, loaded))
    assert type(loaded_table) is ITEM_TABLES[table_format] is type(table)
    np.testing.assert_array_equal(loaded_table.matrix(), table.matrix())
    np.testing.assert_allclose(
        loaded(item_ids).final_states, student(item_ids).final_states, rtol=1e-6
    )


@pytest.mark.parametrize("table_format", StudentConfig.choices("precision"))
def test_a_loaded_student_can_be_trained_on(tmp_path: Path, table_format: str) -> None:
    path = tmp_path / "student.keras"
    _student(table_format=table_format).save(path)
    loaded = keras.saving.load_model(path)
    scene = walk_scene.histories()
    history = train_teacher(
        loaded,
        scene["train"],
        scene["valid"],
        TrainingConfig(max_epochs=5, patience=5, learning_rate=1e-2, positions_per_batch=128),
        seen="keep",
        seed=1,
        checkpoint_dir=str(tmp_path / "checkpoint"),
    )
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


@pytest.mark.parametrize("table_format", StudentConfig.choices("precision"))
def test_gradients_reach_every_weight(table_format: str) -> None:
    student = _student(table_format=table_format)
    item_ids = tf.constant([[1, 2, 3, 4, 5, 6]], tf.int64)
    with tf.GradientTape() as tape:
        outputs = student(item_ids)
        logits = student.sequence_embedding.item_logits(outputs.final_states[0])
        loss = tf.reduce_sum(logits * tf.range(96.0, dtype=tf.float32)[:, None][:6])
    gradients = tape.gradient(loss, [v.value for v in student.trainable_variables])
    for gradient, variable in zip(gradients, student.trainable_variables, strict=True):
        assert gradient is not None, variable.path
        assert np.any(tf.convert_to_tensor(gradient).numpy() != 0), variable.path


def test_weights_follow_the_seed() -> None:
    first, again = _student(), _student()
    other = build_student(GENOTYPE, CONFIG, 16, 8, seed=2)
    np.testing.assert_array_equal(first.weights[0], again.weights[0])
    assert np.any(np.array(first.weights[0]) != np.array(other.weights[0]))


def test_edges_of_none_cost_no_weights() -> None:
    sparse = Genotype.from_primitives(2, [["conv_3", "none", "none"]] * 2)
    dense = Genotype.from_primitives(2, [["conv_3", "conv_3", "conv_3"]] * 2)
    assert _student(sparse).count_params() < _student(dense).count_params()


@pytest.mark.parametrize("length", [1, 5, 30])
def test_any_length_is_taken(length: int) -> None:
    outputs = _student()(tf.ones([2, length], tf.int64))
    assert outputs.final_states.shape == (2, length, 8)
    assert len(outputs.hidden_states) == 2


def test_the_width_of_the_genotype_goes_before_that_of_the_config() -> None:
    wide = dataclasses.replace(GENOTYPE, hidden_dim=12)
    student = build_student(wide, CONFIG, 16, 8, seed=1)
    assert student.sequence_embedding.hidden_dim == 12
    assert Student.from_config(student.get_config()).genotype == wide
    int4 = CONFIG.replace(precision="int4")
    with pytest.raises(ValueError, match=r"even with precision=int4"):
        build_student(dataclasses.replace(GENOTYPE, hidden_dim=7), int4, 16, 8, seed=1)
