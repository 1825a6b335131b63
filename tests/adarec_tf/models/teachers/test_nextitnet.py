from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.models.teachers import build_teacher

CONFIG = NextItNetConfig(hidden_dim=8, num_blocks=3, dropout=0.2)
ITEM_IDS = tf.constant([[0, 0, 3, 5], [1, 2, 3, 4]], tf.int64)


def test_saved_teacher_answers_alike(tmp_path: Path) -> None:
    teacher = build_teacher(CONFIG, 16, 8, seed=1)
    path = tmp_path / "teacher.keras"
    teacher.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(
        loaded(ITEM_IDS).final_states, teacher(ITEM_IDS).final_states, rtol=1e-6
    )
    assert len(loaded(ITEM_IDS).hidden_states) == 3


def test_a_fresh_stack_is_the_identity() -> None:
    outputs = build_teacher(CONFIG, 16, 8, seed=1)(ITEM_IDS)
    np.testing.assert_array_equal(outputs.hidden_states[-1], outputs.embedding)


def test_dropout_is_on_in_training_only() -> None:
    teacher = build_teacher(CONFIG, 16, 8, seed=1)
    np.testing.assert_array_equal(teacher(ITEM_IDS).embedding, teacher(ITEM_IDS).embedding)
    first, second = (teacher(ITEM_IDS, training=True).embedding for _ in range(2))
    assert np.any(first != second)
