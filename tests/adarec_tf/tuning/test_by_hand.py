"""Decisions beside settings that were given by hand."""

from typing import Any

import pytest

from adarec_tf.config.recipe import Decision, Effort, apply_decisions
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.tuning.by_hand import given_values, go_with
from adarec_tf.tuning.priors import TeacherSize, student_decisions
from tests.adarec_tf.hand_made_recipe import SCENE

DECIDED = {
    "student.hidden_dim": 48,
    "student.precision": "int4",
    "search.max_epochs": 8,
    "search.warmup_epochs": 4,
    "search.max_bytes": 70_000,
    "search.num_evaluations": 20,
}
DECISIONS = [Decision(setting=name, value=v, reason="said") for name, v in DECIDED.items()]


def changed(is_bound: bool = False, **given: Any) -> dict[str, Any]:
    """What is decided in another way beside `stage__field=value`."""
    named = {name.replace("__", "."): value for name, value in given.items()}
    found = go_with(DECISIONS, named, is_bound=is_bound)
    assert not set(named) & {one.setting for one in found}
    assert len(found) == len(DECISIONS) - len(set(named) & set(DECIDED))
    for one in found:
        is_as_said = one.value == DECIDED[one.setting]
        assert (one.reason == "said") == is_as_said
        assert is_as_said or one.reason.removeprefix("goes with ") in named
    return {one.setting: one.value for one in found if one.value != DECIDED[one.setting]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"search__num_evaluations": 3}, {}),
        ({"search__warmup_epochs": 9}, {"search.max_epochs": 18}),
        ({"search__warmup_epochs": 8}, {"search.max_epochs": 16}),
        ({"search__warmup_epochs": 7}, {}),
        ({"search__max_epochs": 4}, {"search.warmup_epochs": 2}),
        ({"search__max_epochs": 1}, {"search.warmup_epochs": 0}),
        ({"search__max_epochs": 5}, {}),
        ({"search__max_epochs": 3, "search__warmup_epochs": 1}, {}),
        ({"search__hidden_dims": (32, 33)}, {"student.precision": "int8"}),
        ({"search__hidden_dims": (32, 64)}, {}),
        ({"student__hidden_dim": 64}, {"search.max_bytes": 0}),
        ({"student__precision": "int8"}, {"search.max_bytes": 0}),
        ({"student__hidden_dim": 33}, {"search.max_bytes": 0, "student.precision": "int8"}),
        ({"student__hidden_dim": 33, "student__precision": "float32"}, {"search.max_bytes": 0}),
        ({"student__hidden_dim": 64, "search__max_bytes": 90_000}, {}),
    ],
)
def test_decisions_go_with_what_was_given(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert changed(**given) == expected


def test_a_bound_that_was_given_does_not_give_way_to_a_width() -> None:
    assert changed(is_bound=True, student__hidden_dim=64, student__precision="int8") == {}


@pytest.mark.parametrize("effort", ["quick", "standard", "thorough"])
def test_the_stages_can_be_configured_beside_what_was_given(effort: Effort) -> None:
    decisions = student_decisions(SCENE, TeacherSize(64, 5000), effort)
    for name, config in (
        ("search.warmup_epochs", SearchConfig(warmup_epochs=900, max_epochs=901)),
        ("search.max_epochs", SearchConfig(warmup_epochs=0, max_epochs=1)),
        ("student.hidden_dim", StudentConfig(hidden_dim=33)),
    ):
        stage, _, field = name.partition(".")
        given = given_values([name], **{stage: config})
        found = apply_decisions(go_with(decisions, given, is_bound=False), stage, config, [name])
        assert getattr(found, field) == getattr(config, field)


def test_given_values_are_those_of_the_stages_that_are_told() -> None:
    search = SearchConfig(max_epochs=7)
    fixed = ("search.max_epochs", "distillation.kd_weight", "student.hidden_dim")
    given = given_values(fixed, search=search, student=StudentConfig(hidden_dim=6))
    assert given == {"search.max_epochs": 7, "student.hidden_dim": 6}
