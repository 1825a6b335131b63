from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.teacher import BERT4RecConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.models.metrics import HitRate
from adarec_tf.models.teachers import build_teacher
from adarec_tf.models.teachers.bert4rec import MaskedItems
from adarec_tf.training.train_teacher import train_teacher
from tests.adarec_tf import walk_scene

CONFIG = BERT4RecConfig(hidden_dim=12, num_blocks=2, dropout=0.0, fine_tune_epochs=0)


def test_masked_outputs_see_both_directions() -> None:
    model = build_teacher(CONFIG, 9, 6, seed=1)
    mask = model.sequence_embedding.mask_id
    states = [
        model.masked_outputs(tf.constant([[0, 4, mask, last]], tf.int64)).final_states
        for last in (5, 6)
    ]
    assert np.any(states[0][0, 2].numpy() != states[1][0, 2].numpy())


def test_a_mask_is_no_item_and_no_candidate() -> None:
    model = build_teacher(CONFIG, 9, 6, seed=1)
    assert model.sequence_embedding.mask_id == 10
    scores = MaskedItems(model).predict_on_batch(np.array([[0, 4, 9]]))
    assert scores.shape == (1, 9)


def test_the_mask_takes_the_place_of_the_oldest_item() -> None:
    model = build_teacher(CONFIG, 9, 4, seed=1)
    score = MaskedItems(model).predict_on_batch
    full, shorter = score(np.array([[1, 2, 3, 4]])), score(np.array([[2, 3, 4]]))
    np.testing.assert_array_equal(full, shorter)


@pytest.mark.slow
def test_masked_training_alone_predicts_the_next_item_at_an_appended_mask(tmp_path: Path) -> None:
    scene = walk_scene.histories(num_users=600)
    model = build_teacher(CONFIG, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=1)
    train_teacher(
        model,
        scene["train"],
        scene["valid"],
        TrainingConfig(max_epochs=40, patience=40, positions_per_batch=128, learning_rate=1e-2),
        seen="keep",
        seed=2,
        checkpoint_dir=str(tmp_path),
    )
    masked = MaskedItems(model)
    masked.compile(metrics=[HitRate(1)], seen="keep")
    # The last item alone leaves two possibilities, so one in two.
    assert masked.evaluate(scene["test"], verbose=0, return_dict=True)["hit_rate@1"] > 0.7
