import json
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import Model

from adarec_tf.config import TrainingConfig
from adarec_tf.export.bundle import load_recommender
from adarec_tf.teacher_config import NextItNetConfig
from components import teacher_trainer
from components.artifacts import Sequences, Vocabulary
from components.model_artifact import bundle_dir, read_model
from tests.event_files import read_scalars


def train(tmp_path: Path, sequences: Sequences, vocabulary: Vocabulary, checkpoints: Path) -> Model:
    model = Model()
    model.uri = str(tmp_path / "model")
    teacher_trainer.TeacherTrainer.test_call(
        sequences=sequences,
        vocabulary=vocabulary,
        model=model,
        teacher_config=NextItNetConfig(hidden_dim=8, num_blocks=1).to_json(),
        training_config=TrainingConfig(max_epochs=2).to_json(),
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoints = tmp_path / "checkpoints"

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(teacher_trainer, "write_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, sequences, vocabulary, checkpoints)
    [folder] = checkpoints.iterdir()
    assert folder.name.startswith("teacher-")

    model = train(tmp_path, sequences, vocabulary, checkpoints)
    assert list(checkpoints.iterdir()) == []
    history = json.loads(Path(model.uri, "history.json").read_text())
    assert len(history) == 2
    assert read_model(model.uri).sequence_embedding.num_items == 16
    [items] = load_recommender(bundle_dir(model.uri))([["item, 1", "item, 2"]], 3, True)
    assert len(items) == 3
    logged = read_scalars(tmp_path / "tensorboard" / "teacher")
    assert [epoch for epoch, _ in logged["ndcg@10/full"]] == [1, 2]
