import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx.types.standard_artifacts import Model

from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.export.recommender import Recommender
from adarec_tf.training import train_teacher as training
from components import teacher_trainer
from components.artifacts import Recipe, Sequences, Vocabulary
from components.model_artifact import (
    bundle_dir,
    read_keras_model,
    read_model,
    read_teacher,
    teacher_files,
)
from tests.event_files import read_scalars


def train(
    tmp_path: Path,
    sequences: Sequences,
    vocabulary: Vocabulary,
    recipe: Recipe,
    checkpoints: Path,
    num_teachers: int = 1,
) -> Model:
    model = Model()
    model.uri = str(tmp_path / "model")
    teacher_trainer.TeacherTrainer.test_call(
        sequences=sequences,
        vocabulary=vocabulary,
        recipe=recipe,
        model=model,
        teacher_config=NextItNetConfig(hidden_dim=8, num_blocks=1).to_json(),
        training_config=TrainingConfig(max_epochs=2, num_teachers=num_teachers).to_json(),
        fixed="",
        compute_dtype="bfloat16",
        seed=1,
        code_fingerprint="code",
        checkpoint_dir=str(checkpoints),
        log_dir=str(tmp_path / "tensorboard"),
    )
    return model


def test_an_interrupted_training_continues_and_then_cleans_up(
    tmp_path: Path,
    sequences: Sequences,
    vocabulary: Vocabulary,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoints = tmp_path / "checkpoints"

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(teacher_trainer, "write_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, sequences, vocabulary, recipe, checkpoints)
    [folder] = checkpoints.iterdir()
    assert folder.name.startswith("teacher-")

    model = train(tmp_path, sequences, vocabulary, recipe, checkpoints)
    assert list(checkpoints.iterdir()) == []
    history = json.loads(Path(model.uri, "history.json").read_text())
    assert len(history) == 2
    assert read_model(model.uri).sequence_embedding.num_items == 16
    [items] = Recommender.load(bundle_dir(model.uri))([["item, 1", "item, 2"]], 3, True)
    assert len(items) == 3
    logged = read_scalars(tmp_path / "tensorboard" / "teacher" / "validation")
    assert [epoch for epoch, _ in logged["epoch_ndcg@10"]] == [0, 1]


def test_the_training_is_told_windows_and_numbers(
    tmp_path: Path,
    sequences: Sequences,
    vocabulary: Vocabulary,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(
        training, "train_teacher", lambda *_, **options: given.update(options) or []
    )
    train(tmp_path, sequences, vocabulary, recipe, tmp_path / "checkpoints")
    assert (given["windows"], given["compute_dtype"]) == ("all", "bfloat16")


def test_teachers_of_an_ensemble_are_trained_from_seeds_of_their_own(
    tmp_path: Path, sequences: Sequences, vocabulary: Vocabulary, recipe: Recipe
) -> None:
    model = train(tmp_path, sequences, vocabulary, recipe, tmp_path / "checkpoints", num_teachers=3)
    ensemble = read_teacher(model.uri)
    item_ids = tf.constant([[3, 1, 4]])
    members = [read_keras_model(path)(item_ids) for path in teacher_files(model.uri)]
    assert len(members) == 3
    assert not np.allclose(members[0].final_states, members[1].final_states)
    np.testing.assert_allclose(
        ensemble(item_ids).embedding, np.concatenate([m.embedding for m in members], axis=-1)
    )
    # A student is compared with the first of them.
    np.testing.assert_array_equal(
        read_model(model.uri)(item_ids).final_states, members[0].final_states
    )
    logged = read_scalars(tmp_path / "tensorboard" / "teacher_3" / "train")
    assert len(logged["epoch_loss"]) == 2
