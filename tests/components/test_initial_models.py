"""Teacher and student that continue from an earlier run's, on a vocabulary that has grown."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx.types.standard_artifacts import Model

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.storage.history_files import read_histories, write_statistics
from adarec_tf.distillation import distiller as distilling
from adarec_tf.models.students import build_student
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.training import train_teacher as training
from components import artifacts, teacher_trainer
from components import student_distiller as distiller
from components.artifacts import Recipe, Sequences, Vocabulary
from components.model_artifact import (
    read_keras_model,
    read_model,
    read_vocabulary,
    teacher_files,
    write_model,
)
from tests.components.conftest import NUM_ITEMS, make_artifact

NUM_NEW = 2
IDS = tf.constant([[0, 3, 1, NUM_ITEMS]])
GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "none"]])
STUDENT = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2, precision="int8")
TEACHER = NextItNetConfig(hidden_dim=8, num_blocks=1)


@pytest.fixture
def grown_sequences(
    sequences: Sequences, statistics: SequenceStatistics, tmp_path: Path
) -> Sequences:
    folder = tmp_path / "grown"
    shutil.copytree(sequences.uri, folder)
    write_statistics(str(folder), replace(statistics, num_items=NUM_ITEMS + NUM_NEW))
    return make_artifact(Sequences, folder)


@pytest.fixture
def grown_vocabulary(vocabulary: Vocabulary, tmp_path: Path) -> Vocabulary:
    made = make_artifact(Vocabulary, tmp_path / "grown vocabulary")
    keys = (*read_vocabulary(vocabulary.uri).keys, "new a", "new b")
    ItemVocabulary(keys).write(str(Path(made.uri, artifacts.VOCABULARY_FILE)))
    return made


@pytest.fixture
def train(
    grown_sequences: Sequences,
    grown_vocabulary: Vocabulary,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Model]:
    """Runs TeacherTrainer but for the training itself."""
    monkeypatch.setattr(training, "train_teacher", lambda *_, **__: [])

    def run(initial: Model, **changes: object) -> Model:
        made = make_artifact(Model, tmp_path / f"teacher {len(list(tmp_path.iterdir()))}")
        arguments = {
            "sequences": grown_sequences,
            "vocabulary": grown_vocabulary,
            "recipe": recipe,
            "teacher_config": TEACHER.to_json(),
            "training_config": TrainingConfig(num_teachers=1).to_json(),
            "fixed": "",
            "compute_dtype": "float32",
            "seed": 5,
            "code_fingerprint": "code",
            "checkpoint_dir": str(tmp_path / "checkpoints"),
            "log_dir": str(tmp_path / "tensorboard"),
        }
        teacher_trainer.TeacherTrainer.test_call(
            model=made, initial_model=initial.uri, **{**arguments, **changes}
        )
        return made

    return run


def check_old_items_are_scored_alike(made: Model, earlier: Model) -> None:
    model, expected = read_model(made.uri), read_model(earlier.uri)
    assert model.sequence_embedding.num_items == NUM_ITEMS + NUM_NEW
    np.testing.assert_array_equal(model(IDS).final_states, expected(IDS).final_states)
    np.testing.assert_array_equal(
        model.sequence_embedding.item_vectors()[:NUM_ITEMS],
        expected.sequence_embedding.item_vectors(),
    )


def test_a_teacher_begins_as_the_earlier_one_was(train: Callable[..., Model], model: Model) -> None:
    check_old_items_are_scored_alike(train(model), model)


def test_each_of_an_ensemble_continues_from_its_own(
    train: Callable[..., Model], model: Model, tmp_path: Path
) -> None:
    two = make_artifact(Model, tmp_path / "two")
    shutil.copytree(model.uri, two.uri, dirs_exist_ok=True)
    member = read_model(model.uri)
    member.sequence_embedding.item_table.variable.assign_add(
        np.ones_like(member.sequence_embedding.item_table.variable)
    )
    member.save(Path(two.uri, artifacts.MEMBER_MODEL_FILE.format(number=2)))
    made = train(two, training_config=TrainingConfig(num_teachers=2).to_json())
    tables = [[read_rows(path) for path in teacher_files(one.uri)] for one in (made, two)]
    for grown, earlier in zip(*tables, strict=True):
        np.testing.assert_array_equal(grown[:NUM_ITEMS], earlier)
    with pytest.raises(ValueError, match=r"`training.num_teachers` should be .* 2. Received: 1"):
        train(two)


def read_rows(path: str) -> np.ndarray:
    return read_keras_model(path).sequence_embedding.item_vectors().numpy()


def test_ids_that_mean_other_items_are_refused(
    train: Callable[..., Model], model: Model, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    other = make_artifact(Vocabulary, tmp_path / "other")
    keys = ("new a", *read_vocabulary(vocabulary.uri).keys, "new b")
    ItemVocabulary(keys).write(str(Path(other.uri, artifacts.VOCABULARY_FILE)))
    with pytest.raises(ValueError, match=r"Received: 'new a' with the id 1"):
        train(model, vocabulary=other)


def test_another_earlier_teacher_is_another_training(
    train: Callable[..., Model], model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_teacher", stop)
    for initial in (model, train_once(model, tmp_path)):
        with pytest.raises(KeyboardInterrupt):
            train(initial)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def train_once(model: Model, tmp_path: Path) -> Model:
    """The same teacher with another weight."""
    other = make_artifact(Model, tmp_path / "other")
    shutil.copytree(model.uri, other.uri, dirs_exist_ok=True)
    changed = read_model(model.uri)
    changed.trainable_weights[-1].assign_add(np.ones(changed.trainable_weights[-1].shape))
    changed.save(Path(other.uri, artifacts.KERAS_MODEL_FILE))
    return other


def test_a_student_begins_as_the_earlier_one_was(
    train: Callable[..., Model],
    model: Model,
    sequences: Sequences,
    vocabulary: Vocabulary,
    grown_sequences: Sequences,
    grown_vocabulary: Vocabulary,
    recipe: Recipe,
    statistics: SequenceStatistics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    earlier = make_artifact(Model, tmp_path / "earlier")
    write_model(
        earlier.uri,
        build_student(GENOTYPE, STUDENT, NUM_ITEMS, statistics.max_length, seed=3),
        [],
        statistics=statistics,
        vocabulary=read_vocabulary(vocabulary.uri),
        test=read_histories(sequences.uri, "test"),
        manifest={"role": "student"},
    )
    genotype = make_artifact(artifacts.Genotype, tmp_path / "genotype")
    Path(genotype.uri, artifacts.GENOTYPE_FILE).write_text(GENOTYPE.to_json())
    given: list[tuple[DistillationConfig, str, str]] = []

    def record(*data: Any, windows: str, compute_dtype: str, **_: Any) -> list[dict[str, float]]:
        given.append((data[-1], windows, compute_dtype))
        return []

    monkeypatch.setattr(distilling, "distill_student", record)
    made = make_artifact(Model, tmp_path / "student")
    # A table that began as the teacher's would not be the earlier student's.
    wanted = DistillationConfig(initial_table="teacher")
    distiller.StudentDistiller.test_call(
        sequences=grown_sequences,
        vocabulary=grown_vocabulary,
        teacher=train(model),
        genotype=genotype,
        recipe=recipe,
        model=made,
        student_config=STUDENT.to_json(),
        distillation_config=wanted.to_json(),
        fixed="",
        compute_dtype="bfloat16",
        seed=5,
        code_fingerprint="code",
        checkpoint_dir=str(tmp_path / "checkpoints"),
        log_dir=str(tmp_path / "tensorboard"),
        initial_model=earlier.uri,
    )
    check_old_items_are_scored_alike(made, earlier)
    assert given == [(wanted.replace(initial_table="random"), "all", "bfloat16")]
    assert json.loads(Path(made.uri, artifacts.TRAINING_HISTORY_FILE).read_text()) == []
