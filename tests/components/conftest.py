"""A tiny scene as artifacts: sequences, vocabulary, and a model that was never trained.

`stages` are the components that train, as far as their training.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfx.types import artifact, standard_artifacts

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.storage.history_files import (
    read_histories,
    write_manifest,
    write_shard,
    write_statistics,
)
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.teachers import build_teacher
from components import artifacts, student_distiller, student_searcher, teacher_trainer
from components.artifacts import VOCABULARY_FILE, Sequences, Vocabulary
from components.model_artifact import write_model
from components.recipes import write_recipe
from tests.adarec_tf import hand_made_recipe

NUM_USERS, NUM_ITEMS, MAX_LENGTH = 24, 16, 8


def make_artifact(kind: type[artifact.Artifact], path: Path) -> artifact.Artifact:
    path.mkdir(parents=True, exist_ok=True)
    made = kind()
    made.uri = str(path)
    return made


def make_recipe(path: Path, **decisions: Any) -> artifacts.Recipe:
    """A recipe of `stage__field=value`."""
    made = make_artifact(artifacts.Recipe, path)
    write_recipe(made.uri, hand_made_recipe.recipe(**decisions))
    return made


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> artifacts.Recipe:
    """It decides nothing."""
    return make_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="session")
def statistics() -> SequenceStatistics:
    return SequenceStatistics(
        num_users=NUM_USERS,
        num_items=NUM_ITEMS,
        vocabulary_bytes=1234,
        num_interactions=NUM_USERS * 6,
        removed={"duplicate_interactions": 0},
        repeat_share=0.0,
        seen="exclude",
        max_length=MAX_LENGTH,
        windows="all",
        data_fingerprint="f" * 64,
    )


@pytest.fixture(scope="session")
def sequences(
    tmp_path_factory: pytest.TempPathFactory, statistics: SequenceStatistics
) -> Sequences:
    """Every user walks through the items in order, from a start of its own."""
    root = tmp_path_factory.mktemp("sequences")
    walks = (np.arange(NUM_USERS)[:, None] + np.arange(6)) % NUM_ITEMS + 1
    splits = {}
    for split, length in (("train", 4), ("valid", 4), ("test", 5)):
        (root / f"Split-{split}").mkdir()
        splits[split] = Histories(
            np.array([b"user-%02d" % user for user in range(NUM_USERS)], object),
            walks[:, :length].ravel(),
            np.arange(NUM_USERS + 1) * length,
            np.zeros(NUM_USERS, np.int64) if split == "train" else walks[:, length],
        )
    write_manifest(str(root), write_shard(str(root), 0, 1, Splits(**splits), str(root)))
    write_statistics(str(root), statistics)
    return make_artifact(Sequences, root)


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    root = tmp_path_factory.mktemp("vocabulary")
    keys = tuple(f"item, {number}" for number in range(1, NUM_ITEMS + 1))
    ItemVocabulary(keys).write(str(root / VOCABULARY_FILE))
    return make_artifact(Vocabulary, root)


@pytest.fixture(scope="session")
def model(
    tmp_path_factory: pytest.TempPathFactory,
    sequences: Sequences,
    vocabulary: Vocabulary,
    statistics: SequenceStatistics,
) -> standard_artifacts.Model:
    made = make_artifact(standard_artifacts.Model, tmp_path_factory.mktemp("model"))
    config = NextItNetConfig(hidden_dim=8, num_blocks=1)
    write_model(
        made.uri,
        build_teacher(config, NUM_ITEMS, MAX_LENGTH, seed=0),
        [{"task": 2.5}],
        statistics=statistics,
        vocabulary=ItemVocabulary.read(str(Path(vocabulary.uri, VOCABULARY_FILE))),
        test=read_histories(sequences.uri, "test"),
        manifest={"role": "teacher", "seed": 0},
    )
    return made


TEACHER = NextItNetConfig(hidden_dim=8, num_blocks=1)
TRAINING = TrainingConfig(max_epochs=2, patience=4)
STUDENT = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2)
SEARCH = SearchConfig(max_epochs=2, warmup_epochs=1)
DISTILLATION = DistillationConfig(max_epochs=1)
GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "none"]])

# Runs a stage, with these arguments of the component changed, and returns what arrived where it
# would train, by the names of parameters. It is stopped there, so that its checkpoints stay.
Stage = Callable[..., dict[str, Any]]


def make_genotype(path: Path, genotype: Genotype = GENOTYPE) -> artifacts.Genotype:
    made = make_artifact(artifacts.Genotype, path)
    Path(made.uri, artifacts.GENOTYPE_FILE).write_text(genotype.to_json())
    return made


def _stage(
    component: Any, module: Any, function: str, arguments: dict[str, Any], patch: pytest.MonkeyPatch
) -> Stage:
    """A component of a module that trains by a function."""
    signature, calls = inspect.signature(getattr(module, function)), []

    def record(*values: Any, **options: Any) -> None:
        calls.append(dict(signature.bind(*values, **options).arguments))
        raise KeyboardInterrupt

    patch.setattr(module, function, record)

    def run(**changes: Any) -> dict[str, Any]:
        with pytest.raises(KeyboardInterrupt):
            component.test_call(**{**arguments, **changes})
        return calls[-1]

    return run


@pytest.fixture
def stages(
    sequences: Sequences,
    vocabulary: Vocabulary,
    recipe: artifacts.Recipe,
    model: standard_artifacts.Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Stage]:
    """`teacher`, `search` and `student`."""
    shared = {
        "sequences": sequences,
        "recipe": recipe,
        "fixed": "",
        "compute_dtype": "bfloat16",
        "seed": 7,
        "code_fingerprint": "code",
        "checkpoint_dir": str(tmp_path / "checkpoints"),
        "log_dir": str(tmp_path / "tensorboard"),
    }
    student = {
        "teacher": model,
        "student_config": STUDENT.to_json(),
        "distillation_config": DISTILLATION.to_json(),
    }
    arguments: dict[str, dict[str, Any]] = {
        "teacher": {
            "vocabulary": vocabulary,
            "model": standard_artifacts.Model(),
            "teacher_config": TEACHER.to_json(),
            "training_config": TRAINING.to_json(),
        },
        "search": {
            **student,
            "student_recipe": make_artifact(artifacts.Recipe, tmp_path / "student_recipe"),
            "genotype": artifacts.Genotype(),
            "search_config": SEARCH.to_json(),
            "max_bundle_bytes": 0,
            "max_teacher_share": 0.0,
        },
        "student": {
            **student,
            "vocabulary": vocabulary,
            "genotype": make_genotype(tmp_path / "genotype"),
            "model": standard_artifacts.Model(),
        },
    }
    components = {
        "teacher": (teacher_trainer.TeacherTrainer, teacher_trainer, "train_teachers"),
        "search": (student_searcher.StudentSearcher, student_searcher, "find_genotype"),
        "student": (student_distiller.StudentDistiller, student_distiller, "train_student"),
    }
    for module in (student_searcher, student_distiller):
        monkeypatch.setattr(module, "read_teacher", lambda uri: f"the teacher of {uri}")
    return {
        name: _stage(*components[name], shared | own, monkeypatch)
        for name, own in arguments.items()
    }
