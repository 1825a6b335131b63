"""A recipe in its artifact, and that the stages train what it says."""

from pathlib import Path
from typing import Any

import pytest
from tfx.types.standard_artifacts import Model

from adarec_tf.config.base import Config
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.recipe import Recipe
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.tuning.student import FoundGenotype
from components import student_searcher
from components.artifacts import Genotype as Genotypes
from components.artifacts import Recipe as Recipes
from components.artifacts import Sequences
from components.recipes import read_recipe
from tests.adarec_tf import hand_made_recipe
from tests.components.conftest import (
    DISTILLATION,
    GENOTYPE,
    SEARCH,
    STUDENT,
    TEACHER,
    TRAINING,
    Stage,
    make_artifact,
    make_recipe,
)

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
    stage: str, fixed: str, expected: list[Config], stages: dict[str, Stage], tmp_path: Path
) -> None:
    given = stages[stage](recipe=make_recipe(tmp_path / "recipe", **DECIDED), fixed=fixed)
    assert [value for value in given.values() if isinstance(value, Config)] == expected


def test_the_search_decides_the_student_for_its_teacher_and_budget_and_writes_it(
    sequences: Sequences, model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
    made = make_artifact(Recipes, tmp_path / "made")
    student_searcher.StudentSearcher.test_call(
        sequences=sequences,
        teacher=model,
        recipe=of_teacher,
        student_recipe=made,
        genotype=make_artifact(Genotypes, tmp_path / "genotype"),
        student_config=STUDENT.to_json(),
        search_config=SEARCH.to_json(),
        distillation_config=DISTILLATION.to_json(),
        max_bundle_bytes=9000.0,  # as Kubeflow passes numbers
        max_teacher_share=0.25,
        fixed="student.dropout search.max_epochs",
        compute_dtype="float32",
        seed=1,
        code_fingerprint="code",
        checkpoint_dir=str(tmp_path / "checkpoints"),
        log_dir=str(tmp_path / "tensorboard"),
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
