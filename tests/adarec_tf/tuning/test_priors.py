from pathlib import Path
from typing import Any

import pytest

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.recipe import EFFORTS, Decision, Effort, Recipe, SceneProfile
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.bundle import bundle_bytes, write_bundle
from adarec_tf.models.model_cost import served_bytes
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.teachers import build_teacher
from adarec_tf.tuning.priors import (
    TeacherSize,
    student_bytes,
    student_decisions,
    teacher_decisions,
)
from adarec_tf.tuning.student_recipe import size_of
from tests.adarec_tf.hand_made_recipe import SCENE

ANY = EvaluationConfig()
TEACHER = TeacherSize(64, 13_000_000)


def scene(num_items: int, mean_length: float, num_users: int = 100_000) -> SceneProfile:
    return SCENE.replace(
        num_items=num_items,
        num_users=num_users,
        mean_length=mean_length,
        num_positions=round(num_users * (mean_length - 1)),
    )


SMALL, SHORT = scene(3_000, 8.0, num_users=6_000), scene(200_000, 8.0)
LONG = scene(3_000, 150.0, num_users=10_000)


def decide(
    profile: SceneProfile, effort: Effort = "standard", budget: EvaluationConfig = ANY
) -> list[Decision]:
    """All that a profile says."""
    decisions = teacher_decisions(profile, effort)
    width = {decision.setting: decision.value for decision in decisions}.get(
        "teacher.hidden_dim", 1
    )
    teacher = TeacherSize(width, profile.num_items * width + 100_000)
    return decisions + student_decisions(profile, teacher, effort, budget)


def values(profile: SceneProfile, **options: Any) -> dict[str, Any]:
    return {decision.setting: decision.value for decision in decide(profile, **options)}


@pytest.mark.parametrize(
    "profile", [SMALL, SHORT, LONG, SCENE], ids=["small", "short", "long", "0"]
)
@pytest.mark.parametrize("effort", EFFORTS)
def test_every_decision_is_a_setting_of_a_run(profile: SceneProfile, effort: Effort) -> None:
    decisions = decide(profile, effort)
    recipe = Recipe(effort=effort, scene=profile, decisions=tuple(decisions))
    config = PipelineConfig(scene="any").with_recipe(recipe).to_dict()
    for decision in decisions:
        stage, _, field = decision.setting.partition(".")
        assert config[stage][field] == decision.value, decision
    assert len({decision.setting for decision in decisions}) == len(decisions) > 20


def test_without_effort_nothing_is_decided() -> None:
    assert decide(LONG, "none") == []


def test_a_large_catalog_samples_its_losses_and_a_small_one_does_not() -> None:
    large, small = values(SHORT), values(SMALL)
    assert (large["training.loss"], small["training.loss"]) == ("sampled_softmax", "softmax")
    logits = "distillation.logits_items"
    assert (large[logits], small[logits]) == ("sampled", "all")


def test_long_histories_get_a_wider_and_deeper_teacher() -> None:
    long, short = values(LONG), values(SHORT)
    for setting in ("teacher.hidden_dim", "teacher.num_blocks"):
        assert long[setting] > short[setting]


def test_few_long_histories_get_a_wider_teacher_that_is_no_deeper() -> None:
    few, short = values(scene(9_000, 140.0, num_users=700)), values(SMALL)
    assert few["teacher.hidden_dim"] > short["teacher.hidden_dim"]
    assert few["teacher.num_blocks"] == short["teacher.num_blocks"]


def test_a_tiny_scene_gets_a_wide_teacher_since_it_costs_little() -> None:
    tiny, short = values(scene(3_000, 8.0, num_users=1_000)), values(SHORT)
    assert tiny["teacher.hidden_dim"] > short["teacher.hidden_dim"]
    assert tiny["teacher.num_blocks"] == short["teacher.num_blocks"]


def test_more_effort_trains_longer() -> None:
    for setting in ("training.max_epochs", "search.max_epochs", "distillation.max_epochs"):
        epochs = [values(LONG, effort=effort)[setting] for effort in EFFORTS]
        assert epochs == sorted(epochs)
        assert epochs[0] < epochs[-1]


def test_a_training_of_fewer_steps_takes_larger_ones() -> None:
    quick, standard, thorough = (
        values(SHORT, effort=effort)["training.learning_rate"]
        for effort in ("quick", "standard", "thorough")
    )
    assert quick > standard == thorough


def test_of_a_large_log_epochs_are_fewer_and_a_student_learns_from_a_part() -> None:
    large, small = values(scene(1_000_000, 41.0, num_users=500_000)), values(SMALL)
    assert large["training.max_epochs"] == 2
    assert large["training.learning_rate"] > 2 * values(SHORT)["training.learning_rate"]
    assert large["training.initial_table"] == "co_occurrences"
    assert small["training.initial_table"] == "random"
    assert (large["distillation.max_epochs"], large["distillation.kd_weight"]) == (2, 0.5)
    assert large["distillation.positions_per_batch"] == large["training.positions_per_batch"]
    half = values(scene(1_000_000, 25.0, num_users=500_000))
    assert (half["distillation.max_epochs"], half["distillation.kd_weight"]) == (3, 0.5)
    assert values(SHORT)["distillation.kd_weight"] == 0.9
    assert values(scene(1_000_000, 401.0, num_users=500_000))["training.max_epochs"] == 1


def test_a_teacher_of_few_epochs_drops_little() -> None:
    four, five = scene(1_000_000, 21.0, 500_000), scene(1_000_000, 17.0, 500_000)
    for profile, epochs, dropout in ((four, 4, 0.1), (five, 5, 0.3)):
        found = values(profile)
        assert (found["training.max_epochs"], found["teacher.dropout"]) == (epochs, dropout)
    assert values(four, effort="thorough")["teacher.dropout"] == 0.3


def test_the_table_begins_at_random_where_an_item_is_met_often_or_again() -> None:
    profile = scene(12_000, 7.0, num_users=22_000)
    again = profile.replace(seen="keep")
    assert values(profile.replace(seen="exclude"))["training.initial_table"] == "co_occurrences"
    assert values(again)["training.initial_table"] == "random"
    assert values(LONG.replace(seen="exclude"))["training.initial_table"] == "random"


def test_a_table_too_narrow_for_its_neighborhoods_begins_at_random_unless_epochs_are_few() -> None:
    short = scene(25_000, 7.0, num_users=22_000).replace(seen="exclude")
    large = scene(1_000_000, 41.0, num_users=500_000).replace(seen="exclude")
    for profile in (short, large, large.replace(seen="keep")):
        assert values(profile)["training.initial_table"] == "co_occurrences"
    assert values(short.replace(num_items=25_001))["training.initial_table"] == "random"


def test_half_the_effort_has_as_many_teachers_since_they_are_trained_at_the_same_time() -> None:
    for profile in (SMALL, SHORT):
        quick, standard = values(profile, effort="quick"), values(profile)
        assert quick["training.num_teachers"] == standard["training.num_teachers"]


def test_a_tiny_teacher_leaves_room_for_a_student_unless_a_bound_is_asked_for() -> None:
    tiny = TeacherSize(hidden_dim=8, num_parameters=8_000)
    assert student_bytes(SHORT, tiny, EvaluationConfig()) == 20_000
    assert student_bytes(SHORT, tiny, EvaluationConfig(max_bundle_bytes=100)) == 1


def test_a_bundle_may_have_the_bytes_that_are_asked_for() -> None:
    def weights(**budget: Any) -> int:
        return student_bytes(SHORT, TEACHER, EvaluationConfig(**budget))

    asked = 20_000_000
    others = asked - weights(max_bundle_bytes=asked)  # the graph and the items' names
    assert 0 < others < 0.2 * asked
    assert weights(max_bundle_bytes=asked + 1000) == weights(max_bundle_bytes=asked) + 1000
    half, whole = weights(max_teacher_share=0.5), weights(max_teacher_share=1.0)
    bundle = whole + others  # the teacher's
    assert 4 * TEACHER.num_parameters < bundle < 1.05 * 4 * TEACHER.num_parameters
    assert half + others == pytest.approx(bundle / 2, abs=1)
    longer = SHORT.replace(vocabulary_bytes=SHORT.vocabulary_bytes + 5000)
    bound = EvaluationConfig(max_bundle_bytes=asked)
    assert student_bytes(longer, TEACHER, bound) == weights(max_bundle_bytes=asked) - 5000
    # Of two bounds the tighter one counts.
    for share, bound in ((0.5, asked), (0.5, 200_000_000)):
        both = weights(max_teacher_share=share, max_bundle_bytes=bound)
        assert both == min(half, weights(max_bundle_bytes=bound))
    assert weights(max_bundle_bytes=1) == 1
    assert 1 < weights() < half


def test_where_the_graph_is_most_of_a_bundle_a_student_has_weights_all_the_same() -> None:
    tiny = scene(200, 8.0, num_users=50)
    assert student_bytes(tiny, TeacherSize(64, 100_000), ANY) > 1000
    width = values(tiny)["student.hidden_dim"]
    assert 0 < width <= values(tiny)["teacher.hidden_dim"]


def test_more_bytes_are_a_wider_student_within_them_and_never_wider_than_its_teacher() -> None:
    found = [
        values(SHORT, budget=EvaluationConfig(max_bundle_bytes=megabytes * 1_000_000))
        for megabytes in (5, 7, 100)
    ]
    widths = [decided["student.hidden_dim"] for decided in found]
    assert widths == sorted(set(widths))
    assert widths[-1] == found[-1]["teacher.hidden_dim"]
    for decided, megabytes in zip(found, (5, 7, 100), strict=True):
        assert decided["search.max_bytes"] < megabytes * 1_000_000
        table = SHORT.num_items * decided["student.hidden_dim"] / 2  # two numbers a byte
        assert table < decided["search.max_bytes"]


@pytest.mark.parametrize("primitive", ["skip", "max_pool_3", "conv_5"])
def test_the_weights_of_a_student_leave_room_for_its_graph_and_names(
    primitive: str, tmp_path: Path
) -> None:
    genotype = Genotype.from_primitives(2, [[primitive] * 3] * 2)
    student = build_student(
        genotype, StudentConfig(hidden_dim=32, precision="int4"), 300, 20, seed=1
    )
    vocabulary = ItemVocabulary(tuple(f"item {number:04d}" for number in range(300)))
    write_bundle(
        student,
        vocabulary,
        str(tmp_path),
        max_length=20,
        seen="exclude",
        genotype_json=genotype.to_json(),
        manifest={},
        warmup_histories=[],
    )
    size, weights = bundle_bytes(str(tmp_path)), served_bytes(student)
    profile = SCENE.replace(num_items=300, vocabulary_bytes=vocabulary.num_bytes)
    bound = EvaluationConfig(max_bundle_bytes=10_000_000)
    others = 10_000_000 - student_bytes(profile, TEACHER, bound)
    assert 0.95 * (size - weights) < others < 1.4 * (size - weights)


@pytest.mark.parametrize(
    ("num_items", "max_length", "num_users"),
    [(60, 200, 100), (700, 50, 100), (3_000, 50, 900), (9_000, 200, 700)],
)
def test_the_cheapest_student_keeps_the_bytes_that_the_search_has(
    num_items: int, max_length: int, num_users: int
) -> None:
    profile = scene(num_items, 0.5 * max_length, num_users).replace(max_length=max_length)
    recipe = Recipe(
        effort="standard",
        scene=profile,
        decisions=tuple(teacher_decisions(profile, "standard")),
    )
    teacher = recipe.applied("teacher", SASRecConfig(), ())
    size = size_of(build_teacher(teacher, num_items, max_length, seed=0))
    decided = {one.setting: one.value for one in student_decisions(profile, size, "standard")}
    genotype = Genotype.from_primitives(2, [["skip"] * 3] * decided["student.num_cells"])
    config = StudentConfig(hidden_dim=decided["student.hidden_dim"], precision="int4")
    student = build_student(genotype, config, num_items, max_length, seed=0)
    assert served_bytes(student) <= decided["search.max_bytes"]


def test_a_small_catalog_leaves_bytes_for_convolutions() -> None:
    few = scene(600, 25.0, num_users=600)
    decided = values(few)
    narrow, budget = decided["student.hidden_dim"], decided["search.max_bytes"]
    convolutions = 2 * decided["student.num_cells"] * 5 * narrow**2
    assert few.num_items * narrow / 2 + convolutions < budget
    assert decided["search.cost_weight"] == 0.0 < values(SHORT)["search.cost_weight"]


def test_a_tiny_log_is_trained_on_for_more_epochs_but_not_for_hundreds() -> None:
    tiny, small = values(scene(60, 10.0, num_users=60)), values(SMALL)
    for setting in ("training.max_epochs", "search.warmup_epochs", "distillation.max_epochs"):
        assert small[setting] < tiny[setting] == 60, setting


def test_small_scenes_are_distilled_for_longer_than_labels_alone_are_learnt() -> None:
    dense = values(scene(100, 128.0, num_users=800))
    assert dense["distillation.max_epochs"] == 2 * dense["training.max_epochs"]
    assert values(LONG)["distillation.max_epochs"] == values(LONG)["training.max_epochs"]


def test_a_training_has_a_thousand_steps_of_its_own_batch() -> None:
    few = scene(100, 13.0, num_users=1_000)
    decided = values(few)
    for stage in ("training", "distillation"):
        steps = few.num_positions / decided[f"{stage}.positions_per_batch"]
        assert steps * decided[f"{stage}.max_epochs"] >= 1_000, stage
    assert decided["distillation.max_epochs"] < 60
