"""What the stages after its training ask of every registered teacher."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.evaluation.protocols import EvaluationSplit, model_scorer, rank_full
from adarec_tf.evaluation.recommendations import recommendation_statistics
from adarec_tf.models.model_cost import count_parameters, encoder_macs
from adarec_tf.models.teachers import TEACHERS, build_teacher
from tests.strategies import flat_histories

NUM_ITEMS = 9
LENGTH = 6
HISTORIES = flat_histories([[1, 2, 3], [4], [9, 8, 7, 6, 5, 4, 3, 2], [5, 5]])
ITEM_IDS = tf.constant([[0, 0, 1, 2, 3], [7, 6, 5, 4, 9]], tf.int64)


@pytest.fixture(params=TEACHERS)
def teacher(request: pytest.FixtureRequest) -> keras.Model:
    config = TEACHERS[request.param][0](name=request.param, hidden_dim=8, num_blocks=2)
    return build_teacher(config, NUM_ITEMS, LENGTH, seed=1)


def test_a_saved_teacher_is_loaded_as_it_was(teacher: keras.Model, tmp_path: Path) -> None:
    teacher.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(
        loaded(ITEM_IDS).final_states, teacher(ITEM_IDS).final_states, rtol=1e-6, atol=1e-6
    )


def test_only_items_are_scored_and_recommended(teacher: keras.Model) -> None:
    scorer = model_scorer(teacher)
    assert scorer(np.arange(2), ITEM_IDS.numpy()).shape == (2, NUM_ITEMS)
    split = EvaluationSplit(HISTORIES, NUM_ITEMS, LENGTH, "keep")
    popularity = np.arange(NUM_ITEMS, dtype=np.float64)
    lists = rank_full(scorer, split, NUM_ITEMS).lists
    shown = recommendation_statistics(lists, popularity)
    assert shown == pytest.approx((1.0, popularity.mean()))


def test_its_cost_can_be_counted(teacher: keras.Model) -> None:
    assert encoder_macs(teacher, LENGTH) > 0
    count = count_parameters(teacher)
    assert count.total > count.embedding >= (NUM_ITEMS + 1) * 8
