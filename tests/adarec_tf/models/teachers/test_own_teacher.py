"""A teacher of one's own: a `NextItemModel` that returns `SequenceOutputs`, and its config."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.evaluation.protocols import evaluate_full, model_scorer
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceOutputs, real_positions
from adarec_tf.models.teachers import TEACHERS, build_teacher
from adarec_tf.training.train_teacher import train_teacher
from tests.adarec_tf import walk_scene


class GRU4RecConfig(TeacherConfig):
    """What every teacher has; here the number of blocks is the number of recurrent layers."""

    name: str = "gru4rec"


@keras.saving.register_keras_serializable("own_teachers")
class GRU4Rec(NextItemModel):
    """Gated recurrent layers: they read the past only, and skip padding by their mask."""

    def __init__(
        self,
        *,
        num_items: int,
        max_length: int,
        hidden_dim: int,
        num_blocks: int,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        sizes = {"num_items": num_items, "max_length": max_length, "hidden_dim": hidden_dim}
        super().__init__({**sizes, "num_blocks": num_blocks, "dropout": dropout}, **kwargs)
        self.sequence_embedding = SequenceEmbedding(
            num_items, hidden_dim, max_length, use_positions=False, dropout=dropout
        )
        self.layers_of_blocks = [
            keras.layers.GRU(hidden_dim, return_sequences=True) for _ in range(num_blocks)
        ]

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        mask = real_positions(item_ids)
        states = embedding = self.sequence_embedding(item_ids, training=training)
        hidden_states = []
        for layer in self.layers_of_blocks:
            states = layer(states, mask=mask[..., 0] > 0) * mask
            hidden_states.append(states)
        return SequenceOutputs(embedding, tuple(hidden_states), states)


@pytest.fixture
def gru4rec() -> Iterator[None]:
    TEACHERS["gru4rec"] = (GRU4RecConfig, GRU4Rec)
    yield
    del TEACHERS["gru4rec"]


@pytest.mark.slow
@pytest.mark.usefixtures("gru4rec")
def test_a_teacher_of_ones_own_is_chosen_by_name_and_learns(tmp_path: Path) -> None:
    settings = ["teacher.name=gru4rec", "teacher.hidden_dim=16", "teacher.dropout=0"]
    config = PipelineConfig.from_json(PipelineConfig(scene="walk").override(settings).to_json())
    assert isinstance(config.teacher, GRU4RecConfig)
    scene = walk_scene.histories()
    teacher = build_teacher(config.teacher, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=1)
    train_teacher(
        teacher,
        scene["train"],
        scene["valid"],
        TrainingConfig(max_epochs=25, patience=25, positions_per_batch=128, learning_rate=1e-2),
        seen="keep",
        seed=2,
        checkpoint_dir=str(tmp_path),
    )
    metrics = evaluate_full(
        model_scorer(teacher),
        scene["test"],
        num_items=walk_scene.NUM_ITEMS,
        max_length=walk_scene.MAX_LENGTH,
        seen="keep",
        cutoffs=(1,),
    )
    assert metrics["hit_rate@1/full"] > 0.8
