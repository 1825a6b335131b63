import json

import pytest

from adarec_tf.config import (
    DataConfig,
    DistillationConfig,
    PipelineConfig,
    SearchConfig,
    TeacherConfig,
)

CONFIG = PipelineConfig(scene="test", seed=4)


def test_json_round_trip_is_identity() -> None:
    changed = CONFIG.override(["teacher.dilations=[1,2,4]", "data.seen=keep", "seed=9"])
    assert PipelineConfig.from_json(changed.to_json()) == changed
    assert changed.teacher.dilations == (1, 2, 4)


def test_unknown_and_missing_keys_are_refused() -> None:
    values = json.loads(DataConfig().to_json())
    with pytest.raises(ValueError, match=r"unknown keys \['colour'\]"):
        DataConfig.from_dict({**values, "colour": 1})
    del values["seen"]
    with pytest.raises(ValueError, match=r"no value for \['seen'\]"):
        DataConfig.from_dict(values)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("teacher.hiden_dim=64", "one of dilations, dropout, hidden_dim"),
        ("techer.hidden_dim=64", "one of data, distillation, evaluation"),
        ("teacher=64", "a single field: teacher.dilations"),
        ("seed.value=1", "a single field: seed"),
        ("teacher.hidden_dim=wide", "an integer. Received: teacher.hidden_dim=wide"),
        ("teacher.hidden_dim=64.5", "an integer"),
        ("teacher.hidden_dim=0", "a positive integer"),
        ("teacher.dropout=many", "a number"),
        ("teacher.dropout=1.5", "between 0 and 1"),
        ("teacher.dropout=1.0", "less than 1"),
        ("training.learning_rate=Infinity", "finite"),
        ("search.num_candidates=2.5", "an integer"),
        ("student.num_nodes=1", "at least 2"),
        ("teacher.dilations=4", "a JSON list"),
        ("data.seen=sometimes", "one of auto, exclude, keep"),
        ("search.warmup_epochs=99", "less than max_epochs"),
        ("teacher.hidden_dim", "the form stage.field=value"),
    ],
)
def test_a_bad_setting_says_what_is_valid(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CONFIG.override([assignment])


def test_settings_are_applied_in_order_and_leave_the_original_alone() -> None:
    changed = CONFIG.override(["student.hidden_dim=8", "student.hidden_dim=24"])
    assert changed.student.hidden_dim == 24
    assert CONFIG.student.hidden_dim != 24


def test_whole_numbers_are_taken_for_floats() -> None:
    assert CONFIG.override(["training.learning_rate=1"]).training.learning_rate == 1.0


def test_the_fit_loops_settings_are_carried_over() -> None:
    training = DistillationConfig(max_epochs=7, learning_rate=0.5).training()
    assert (training.max_epochs, training.learning_rate) == (7, 0.5)
    assert SearchConfig(max_epochs=9).training().max_epochs == 9


def test_values_are_checked_on_construction() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        DataConfig(min_user_interactions=2)
    with pytest.raises(ValueError, match="three different names"):
        DataConfig(user_column="item_id")
    with pytest.raises(ValueError, match="positive integers"):
        TeacherConfig(dilations=())
