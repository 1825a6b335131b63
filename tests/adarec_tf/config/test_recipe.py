import pytest

from adarec_tf.config.recipe import Recipe, Trial
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.teacher import NextItNetConfig, SASRecConfig
from adarec_tf.config.training import TrainingConfig
from tests.adarec_tf.hand_made_recipe import recipe

TEACHER = NextItNetConfig(hidden_dim=24, num_blocks=3, dropout=0.1)


def test_json_round_trip_is_identity() -> None:
    trials = (
        Trial(candidate="profile", epochs=3, ndcg=0.25, seconds=1.5),
        Trial(candidate="teacher.dropout=0.1", epochs=3),
    )
    made = recipe(
        teacher__name="sasrec", teacher__dropout=0.3, search__hidden_dims=[8, 16]
    ).replace(trials=trials)
    assert Recipe.from_json(made.to_json()) == made
    assert made.to_dict()["trials"][1]["ndcg"] is None


def test_what_was_decided_comes_through_and_what_is_fixed_stays() -> None:
    made = recipe(
        training__max_epochs=7,
        training__learning_rate=0.5,
        search__max_epochs=9,
        teacher__dropout=0.3,
    )
    config = TrainingConfig(max_epochs=2, patience=4)
    applied = made.applied("training", config, ["training.learning_rate", "search.max_epochs"])
    assert applied == config.replace(max_epochs=7)
    assert made.applied("training", config, ()).learning_rate == 0.5
    assert made.applied("search", SearchConfig(), ()) == SearchConfig(max_epochs=9)
    assert made.applied("teacher", TEACHER, ()) == TEACHER.replace(dropout=0.3)
    assert recipe().applied("teacher", TEACHER, ()) == TEACHER


def test_another_kind_of_teacher_has_its_own_settings_and_keeps_the_others() -> None:
    made = recipe(teacher__name="sasrec", teacher__feed_forward_dim=48, teacher__num_blocks=1)
    expected = SASRecConfig(hidden_dim=24, num_blocks=1, dropout=0.1, feed_forward_dim=48)
    assert made.applied("teacher", TEACHER, ()) == expected
    assert made.applied("teacher", TEACHER, ["teacher.num_blocks"]).num_blocks == 3
    # Of another kind, what was decided for SASRec alone says nothing.
    assert made.applied("teacher", TEACHER, ["teacher.name"]) == TEACHER.replace(num_blocks=1)


def test_a_value_that_is_not_allowed_is_an_error() -> None:
    with pytest.raises(ValueError, match="`dropout` should be less than 1"):
        recipe(teacher__dropout=1.5).applied("teacher", TEACHER, ())
