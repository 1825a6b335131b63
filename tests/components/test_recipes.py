"""A recipe in its artifact, and that the stages train what it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx.types.standard_artifacts import Model

from adarec_tf.config.base import Config
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.recipe import Recipe
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig, SASRecConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.tuning.student import FoundGenotype
from components import artifacts, student_distiller, student_searcher, teacher_trainer
from components.artifacts import Sequences, Vocabulary
from components.recipes import read_recipe
from tests.adarec_tf import hand_made_recipe
from tests.components.conftest import make_artifact, make_recipe

TEACHER = NextItNetConfig(hidden_dim=8, num_blocks=1)
TRAINING = TrainingConfig(max_epochs=2, patience=4)
STUDENT = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2)
SEARCH = SearchConfig(max_epochs=2, warmup_epochs=1)
DISTILLATION = DistillationConfig(max_epochs=1)
GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "none"]])
DECIDED = {
    "teacher__name": "sasrec",
    "teacher__hidden_dim": 24,
    "teacher__num_blocks": 3,
    "training__max_epochs": 7,
    "training__num_teachers": 2,
    "student__hidden_dim": 6,
    "student__dropout": 0.125,
    "search__max_epochs": 9,
    "search__max_bytes": 99,
    "distillation__kd_weight": 0.25,
    "distillation__max_epochs": 5,
}


def test_a_recipe_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = make_recipe(tmp_path / "recipe", **DECIDED)
    assert read_recipe(made.uri) == hand_made_recipe.recipe(**DECIDED)
    assert [path.name for path in Path(made.uri).iterdir()] == ["recipe.json"]


@pytest.fixture
def shared(sequences: Sequences, tmp_path: Path) -> dict[str, Any]:
    return {
        "sequences": sequences,
        "compute_dtype": "float32",
        "seed": 1,
        "code_fingerprint": "code",
        "checkpoint_dir": str(tmp_path / "checkpoints"),
        "log_dir": str(tmp_path / "tensorboard"),
    }


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs that arrive where a stage would train; it is stopped there."""
    configs: list[Config] = []

    def record(*values: Any, **options: Any) -> None:
        found = [value for value in (*values, *options.values()) if isinstance(value, Config)]
        configs[:] = found
        raise KeyboardInterrupt

    monkeypatch.setattr(teacher_trainer, "train_teachers", record)
    monkeypatch.setattr(student_searcher, "find_genotype", record)
    monkeypatch.setattr(student_distiller, "train_student", record)
    for module in (student_searcher, student_distiller):
        monkeypatch.setattr(module, "read_teacher", lambda uri: None)
    return configs


Stage = Callable[[artifacts.Recipe, str], None]


@pytest.fixture
def stages(
    shared: dict[str, Any],
    vocabulary: Vocabulary,
    model: Model,
    given: list[Config],
    tmp_path: Path,
) -> dict[str, Stage]:
    """Runs a stage as far as its training, with a recipe and what is fixed."""
    genotype = make_artifact(artifacts.Genotype, tmp_path / "genotype")
    Path(genotype.uri, artifacts.GENOTYPE_FILE).write_text(GENOTYPE.to_json())
    student = {"teacher": model, "student_config": STUDENT.to_json()}
    student |= {"distillation_config": DISTILLATION.to_json()}
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "teacher": (
            teacher_trainer.TeacherTrainer,
            {
                "vocabulary": vocabulary,
                "model": Model(),
                "teacher_config": TEACHER.to_json(),
                "training_config": TRAINING.to_json(),
            },
        ),
        "search": (
            student_searcher.StudentSearcher,
            {
                "student_recipe": make_artifact(artifacts.Recipe, tmp_path / "student_recipe"),
                "genotype": make_artifact(artifacts.Genotype, tmp_path / "found"),
                "search_config": SEARCH.to_json(),
                "max_bundle_bytes": 0,
                "max_teacher_share": 0.0,
                **student,
            },
        ),
        "student": (
            student_distiller.StudentDistiller,
            {"vocabulary": vocabulary, "genotype": genotype, "model": Model(), **student},
        ),
    }

    def runner(name: str) -> Stage:
        component, arguments = calls[name]

        def run(recipe: artifacts.Recipe, fixed: str) -> None:
            with pytest.raises(KeyboardInterrupt):
                component.test_call(recipe=recipe, fixed=fixed, **shared, **arguments)

        return run

    return {name: runner(name) for name in calls}


@pytest.mark.parametrize(
    ("stage", "fixed", "expected"),
    [
        (
            "teacher",
            "",
            [
                SASRecConfig(hidden_dim=24, num_blocks=3),
                TRAINING.replace(max_epochs=7, num_teachers=2),
            ],
        ),
        (
            "teacher",
            "teacher.name training.max_epochs",
            [TEACHER.replace(hidden_dim=24, num_blocks=3), TRAINING.replace(num_teachers=2)],
        ),
        (
            "search",
            "",
            [
                STUDENT.replace(hidden_dim=6, dropout=0.125),
                SEARCH.replace(max_epochs=9, max_bytes=99),
                DISTILLATION.replace(kd_weight=0.25, max_epochs=5),
            ],
        ),
        (
            "search",
            "student.dropout search.max_bytes distillation.max_epochs",
            [
                STUDENT.replace(hidden_dim=6),
                SEARCH.replace(max_epochs=9),
                DISTILLATION.replace(kd_weight=0.25),
            ],
        ),
        (
            "student",
            "",
            [
                STUDENT.replace(hidden_dim=6, dropout=0.125),
                DISTILLATION.replace(kd_weight=0.25, max_epochs=5),
            ],
        ),
        (
            "student",
            "student.hidden_dim distillation.kd_weight",
            [STUDENT.replace(dropout=0.125), DISTILLATION.replace(max_epochs=5)],
        ),
    ],
)
def test_a_stage_trains_what_was_decided_but_for_what_is_fixed(
    stage: str,
    fixed: str,
    expected: list[Config],
    stages: dict[str, Stage],
    given: list[Config],
    tmp_path: Path,
) -> None:
    stages[stage](make_recipe(tmp_path / "recipe", **DECIDED), fixed)
    assert given == expected


@pytest.mark.parametrize("stage", ["teacher", "search", "student"])
def test_another_recipe_is_another_training(
    stage: str, stages: dict[str, Stage], recipe: artifacts.Recipe, tmp_path: Path
) -> None:
    other = make_recipe(tmp_path / "other", **DECIDED)
    for one in (recipe, other, recipe):
        stages[stage](one, "")
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_the_search_decides_the_student_for_its_teacher_and_budget_and_writes_it(
    shared: dict[str, Any], model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls, searched = [], []
    complete = hand_made_recipe.recipe(**DECIDED)

    def decide(recipe: Recipe, teacher: Any, **options: Any) -> Recipe:
        calls.append((recipe, teacher.sequence_embedding.hidden_dim, options))
        return complete

    def search(*values: Any, **options: Any) -> FoundGenotype:
        searched.append(options)
        return FoundGenotype(GENOTYPE, None)

    monkeypatch.setattr(student_searcher, "with_student", decide)
    monkeypatch.setattr(student_searcher, "find_genotype", search)
    of_teacher = make_recipe(tmp_path / "recipe", teacher__hidden_dim=8)
    made = make_artifact(artifacts.Recipe, tmp_path / "made")
    student_searcher.StudentSearcher.test_call(
        recipe=of_teacher,
        student_recipe=made,
        genotype=make_artifact(artifacts.Genotype, tmp_path / "genotype"),
        teacher=model,
        student_config=STUDENT.to_json(),
        search_config=SEARCH.to_json(),
        distillation_config=DISTILLATION.to_json(),
        max_bundle_bytes=9000.0,  # as Kubeflow passes numbers
        max_teacher_share=0.25,
        fixed="student.dropout search.max_epochs",
        **shared,
    )
    [(recipe, hidden_dim, options)] = calls
    assert recipe == read_recipe(of_teacher.uri)
    assert hidden_dim == 8
    assert options == {
        "given": {"student.dropout": STUDENT.dropout, "search.max_epochs": SEARCH.max_epochs},
        "budget": EvaluationConfig(max_bundle_bytes=9000, max_teacher_share=0.25),
    }
    assert searched[0]["student"] == STUDENT.replace(hidden_dim=6)
    assert searched[0]["search"] == SEARCH.replace(max_bytes=99)
    assert read_recipe(made.uri) == complete
