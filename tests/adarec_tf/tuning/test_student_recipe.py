"""The student's part of a recipe."""

from typing import Any

import pytest

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.recipe import Recipe
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.models.model_cost import count_parameters
from adarec_tf.models.teachers import build_teacher
from adarec_tf.tuning.priors import TeacherSize, student_decisions
from adarec_tf.tuning.student_recipe import size_of, with_student
from tests.adarec_tf import hand_made_recipe

ANY = EvaluationConfig()
# Of another effort than hand-made recipes have, and with a decision about the teacher.
RECIPE = hand_made_recipe.recipe(teacher__dropout=0.5).replace(
    effort="quick", scene=hand_made_recipe.SCENE.replace(num_items=3000)
)


def teacher(hidden_dim: int = 48) -> Any:
    config = SASRecConfig(hidden_dim=hidden_dim, num_blocks=1, feed_forward_dim=8)
    return build_teacher(config, RECIPE.scene.num_items, RECIPE.scene.max_length, seed=1)


def decide(
    recipe: Recipe = RECIPE,
    of: Any = None,
    budget: EvaluationConfig = ANY,
    **given: Any,
) -> Recipe:
    """With what is given as `stage__field=value`."""
    named = {name.replace("__", "."): value for name, value in given.items()}
    return with_student(recipe, of or teacher(), given=named, budget=budget)


def values(recipe: Recipe) -> dict[str, Any]:
    return {decision.setting: decision.value for decision in recipe.decisions}


def test_the_scene_decides_the_student_for_the_size_of_its_teacher() -> None:
    model = teacher()
    size = TeacherSize(48, count_parameters(model).total)
    assert size_of(model) == size
    decisions = (*RECIPE.decisions, *student_decisions(RECIPE.scene, size, "quick"))
    assert decide(of=model) == RECIPE.replace(decisions=decisions)
    wider = decide(of=teacher(64))
    assert values(wider)["search.max_bytes"] > values(decide())["search.max_bytes"]


def test_of_several_teachers_the_first_counts() -> None:
    assert size_of(EnsembleTeacher([teacher(), teacher()])) == size_of(teacher())


def test_a_budget_bounds_the_student() -> None:
    decided = decide(budget=EvaluationConfig(max_bundle_bytes=200_000))
    bounds = student_decisions(
        RECIPE.scene, size_of(teacher()), "quick", EvaluationConfig(max_bundle_bytes=200_000)
    )
    assert decided.decisions[1:] == tuple(bounds)
    assert values(decided)["search.max_bytes"] < values(decide())["search.max_bytes"]


def test_what_is_given_by_hand_is_not_decided_and_the_others_go_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    others = set(values(decide())) - {"student.hidden_dim", "search.warmup_epochs"}
    caplog.set_level("INFO")
    caplog.clear()
    decided = decide(student__hidden_dim=33, search__warmup_epochs=1000)
    assert set(values(decided)) == others
    expected = {"student.precision": "int8", "search.max_epochs": 2000, "search.max_bytes": 0}
    assert expected.items() <= values(decided).items()
    lines = [record.line for record in caplog.records if hasattr(record, "line")]
    assert lines == [str(decision) for decision in decided.decisions[1:]]
    bound = EvaluationConfig(max_teacher_share=0.1)
    assert values(decide(budget=bound, student__hidden_dim=33))["search.max_bytes"] > 0


def test_without_effort_nothing_is_decided_and_what_is_decided_stays() -> None:
    nothing = hand_made_recipe.recipe()
    assert decide(nothing) == nothing
    earlier = hand_made_recipe.recipe(teacher__dropout=0.5, student__hidden_dim=24)
    assert decide(earlier) == earlier
