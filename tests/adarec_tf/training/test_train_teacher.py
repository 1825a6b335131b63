from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.teacher import NextItNetConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.evaluation.protocols import evaluate_full, model_scorer
from adarec_tf.models import losses, next_item_model
from adarec_tf.models.teachers import TEACHERS, bert4rec, build_teacher
from adarec_tf.training import train_teacher as train_teacher_module
from adarec_tf.training.train_teacher import TrainedTeacher, train_teacher, train_teachers
from tests.adarec_tf import walk_scene

CONFIG = TrainingConfig(max_epochs=25, patience=25, positions_per_batch=128, learning_rate=1e-2)


def _teacher(name: str) -> keras.Model:
    own = {"fine_tune_epochs": 25} if name == "bert4rec" else {}
    config = TEACHERS[name][0](name=name, hidden_dim=12, num_blocks=2, dropout=0.0, **own)
    return build_teacher(config, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=1)


def _train(
    model: keras.Model, folder: Path, config: TrainingConfig = CONFIG, **options: str
) -> list[dict]:
    scene = walk_scene.histories()
    return train_teacher(
        model,
        scene["train"],
        scene["valid"],
        config,
        seen="keep",
        seed=2,
        checkpoint_dir=str(folder),
        **options,
    )


def _evaluate(model: keras.Model, split: str, cutoff: int) -> dict[str, float]:
    return evaluate_full(
        model_scorer(model),
        walk_scene.histories()[split],
        num_items=walk_scene.NUM_ITEMS,
        max_length=walk_scene.MAX_LENGTH,
        seen="keep",
        cutoffs=(cutoff,),
    )


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teacher_learns_what_needs_two_items_of_context_and_keeps_its_best_weights(
    name: str, tmp_path: Path
) -> None:
    model = _teacher(name)
    history = _train(model, tmp_path)
    # The last item alone leaves two possibilities, so one in two.
    assert _evaluate(model, "test", 1)["hit_rate@1/full"] > 0.8
    assert history[-1]["loss"] < history[0]["loss"]
    best = max(record["val_ndcg@10"] for record in history)
    assert _evaluate(model, "valid", 10)["ndcg@10/full"] == pytest.approx(best, abs=1e-6)


def test_training_stops_when_validation_does_not_improve(tmp_path: Path) -> None:
    # Without a learning rate to speak of nothing improves after the first epoch.
    config = TrainingConfig(max_epochs=9, patience=2, learning_rate=1e-12)
    assert len(_train(_teacher("nextitnet"), tmp_path, config)) == 3


def test_equal_seeds_train_equal_weights(tmp_path: Path) -> None:
    architecture = NextItNetConfig(hidden_dim=12, num_blocks=2, dropout=0.2)
    models = [
        build_teacher(architecture, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=1)
        for _ in range(2)
    ]
    config = TrainingConfig(max_epochs=2, positions_per_batch=128)
    for number, model in enumerate(models):
        _train(model, tmp_path / str(number), config)
    for first, second in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=1e-6, atol=1e-7)


def test_a_finished_training_is_not_run_again(tmp_path: Path) -> None:
    first, second = _teacher("nextitnet"), _teacher("nextitnet")
    config = TrainingConfig(max_epochs=2, positions_per_batch=128)
    history = _train(first, tmp_path, config)
    assert _train(second, tmp_path, config) == history
    np.testing.assert_array_equal(first.weights[0], second.weights[0])


@pytest.mark.parametrize("name", ["nextitnet", "bert4rec"])
def test_windows_and_numbers_are_those_asked_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    for module, function, option in (
        (next_item_model, "next_item_batches", "windows"),
        (bert4rec, "masked_item_batches", "windows"),
        (losses, "softmax_loss", "compute_dtype"),
    ):
        original = getattr(module, function)

        def record(*arguments: Any, _of: Any = (original, option), **options: Any) -> Any:
            given.append(options[_of[1]])
            return _of[0](*arguments, **options)

        monkeypatch.setattr(module, function, record)
    config = TrainingConfig(max_epochs=1, positions_per_batch=512)
    _train(_teacher(name), tmp_path, config, windows="all", compute_dtype="bfloat16")
    assert set(given) == {"all", "bfloat16"}


def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    config = TrainingConfig(max_epochs=3, learning_rate=1e30)
    with pytest.raises(ValueError, match="Losses should stay finite"):
        _train(_teacher("nextitnet"), tmp_path, config)


def test_an_unknown_teacher_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of bert4rec, .*sasrec.*name='gru'"):
        TeacherConfig.from_dict({"name": "gru"})


def _train_several(folder: Path, **options: Any) -> list[TrainedTeacher]:
    scene = walk_scene.histories()
    return train_teachers(
        NextItNetConfig(hidden_dim=8, num_blocks=1, dropout=0.1),
        CONFIG.replace(max_epochs=3, num_teachers=3),
        scene["train"],
        scene["valid"],
        statistics=SequenceStatistics(
            num_users=scene["train"].num_users,
            num_items=walk_scene.NUM_ITEMS,
            vocabulary_bytes=1234,
            num_interactions=len(scene["train"].item_ids),
            removed={},
            repeat_share=0.0,
            seen="keep",
            max_length=walk_scene.MAX_LENGTH,
            windows="last",
            data_fingerprint="walk",
        ),
        seed=5,
        checkpoint_dir=str(folder / "checkpoints"),
        log_dir=str(folder / "logs"),
        strategy=tf.distribute.get_strategy(),
        **options,
    )


@pytest.mark.parametrize("num_earlier", [0, 3])
def test_each_of_several_teachers_has_seeds_of_its_own_and_its_own_beginning(
    num_earlier: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, begun, trained = [], [], []

    def build(*values: Any, seed: int) -> str:
        built.append(seed)
        return f"model {seed}"

    def train(model: str, *values: Any, **options: Any) -> list[Any]:
        folders = (Path(options[name]).name for name in ("checkpoint_dir", "log_dir"))
        trained.append((model, options["seed"], *folders, options["start_counts"]))
        return []

    monkeypatch.setattr(train_teacher_module, "build_teacher", build)
    monkeypatch.setattr(train_teacher_module, "train_teacher", train)
    monkeypatch.setattr(
        train_teacher_module, "warm_start_from", lambda *models: begun.append(models)
    )
    earlier: Any = [f"earlier {number}" for number in range(num_earlier)]
    done = _train_several(tmp_path, earlier=earlier)
    names = ["teacher", "teacher_2", "teacher_3"]
    assert built == [5, 6, 7]
    assert trained == [
        (f"model {seed}", seed, name, name, num_earlier > 0)
        for seed, name in zip(built, names, strict=True)
    ]
    assert begun == [(f"model {5 + number}", one) for number, one in enumerate(earlier)]
    assert [teacher.model for teacher in done] == ["model 5", "model 6", "model 7"]


def test_teachers_trained_side_by_side_are_those_trained_one_by_one(tmp_path: Path) -> None:
    alone = _train_several(tmp_path / "1", num_processes=1)
    together = _train_several(tmp_path / "2", num_processes=2)
    for one, other in zip(alone, together, strict=True):
        for ours, theirs in zip(one.model.weights, other.model.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert [record["val_loss"] for record in one.training_history] == [
            record["val_loss"] for record in other.training_history
        ]
