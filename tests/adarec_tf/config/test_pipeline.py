import json
from dataclasses import replace

import pytest

from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.teacher import NextItNetConfig, SASRecConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig

CONFIG = PipelineConfig(scene="test", seed=4)


def test_json_round_trip_is_identity() -> None:
    changed = CONFIG.override(["teacher.dilations=[1,2,4]", "data.seen=keep", "seed=9"])
    assert PipelineConfig.from_json(changed.to_json()) == changed
    assert changed.teacher.dilations == (1, 2, 4)


def test_unknown_and_missing_keys_are_refused() -> None:
    values = json.loads(DataConfig().to_json())
    with pytest.raises(ValueError, match=r"unknown keys \['color'\]"):
        DataConfig.from_dict({**values, "color": 1})
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
        ("student.item_table.format=int2", "one of float32, low_rank, product_codes, int8, int4"),
        ("student.item_table.rnk=4", "one of codebook_size, format, num_codes, rank"),
        ("student.item_table.codebook_size=257", "at most 256"),
        ("student.item_table=int8", "a single field: student.item_table.codebook_size"),
        ("student.hidden_dim.value=8", "a single field: student.hidden_dim"),
        ("teacher.dilations=4", "a JSON list"),
        ("data.seen=sometimes", "one of auto, exclude, keep"),
        ("data.split=random", "one of leave_one_out, global_time"),
        ("data.test_time_share=0", "greater than 0"),
        ("data.test_time_share=0.5", "less than 0.5: the validation period is as long"),
        ("data.repeats=drop", "one of keep, drop_consecutive, keep_first, keep_last"),
        ("data.time_unit=hours", "one of seconds, milliseconds, microseconds"),
        ("data.session_gap_seconds=-1", "at least 0"),
        ("data.events=view", "a JSON list"),
        ('data.events=["view"]', "empty without event_column"),
        ("data.event_column=item_id", "another than user_id, item_id, timestamp"),
        ("search.warmup_epochs=99", "less than max_epochs"),
        ("search.min_cells=3", "`search.min_cells` should be at most student.num_cells=2"),
        ("search.min_cells=-1", "`min_cells` should be an integer of at least 0"),
        ("search.hidden_dims=[16]", "`hidden_dims` should be empty, or two or more different"),
        ("search.hidden_dims=[16,16]", "two or more different positive integers"),
        ("search.hidden_dims=[16,-8]", "two or more different positive integers"),
        ("serving.server_tls_ca=ca.pem", "given with server_address alone"),
        ("serving.server_tls_cert=cert.pem", "given with server_tls_ca alone"),
        ("serving.server_tls_key=key.pem", "given with server_tls_cert"),
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


@pytest.mark.parametrize(
    ("format_name", "assignment", "message"),
    [
        ("low_rank", "rank=32", "less than hidden_dim=32. Received: item_table.rank=32"),
        ("product_codes", "num_codes=5", "a divisor of hidden_dim=32"),
    ],
)
def test_only_the_format_that_reads_a_size_asks_that_it_fits(
    format_name: str, assignment: str, message: str
) -> None:
    size = f"student.item_table.{assignment}"
    other = CONFIG.override(["student.item_table.format=int8", size])
    assert other.student.item_table.format == "int8"
    assert PipelineConfig.from_json(other.to_json()) == other
    with pytest.raises(ValueError, match=message):
        other.override([f"student.item_table.format={format_name}"])


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
        NextItNetConfig(dilations=())


def test_event_types_are_different_names() -> None:
    config = CONFIG.override(["data.event_column=what", 'data.events=["view","buy"]'])
    assert config.data.events == ("view", "buy")
    assert PipelineConfig.from_json(config.to_json()) == config
    for events in ('["view","view"]', "[1]", '[["view",1]]'):
        with pytest.raises(ValueError, match=r"`events` should be different event types as text"):
            config.override([f"data.events={events}"])


def test_event_weights_are_written_as_an_object() -> None:
    settings = ["data.event_column=what", "data.repeats=keep_first"]
    config = CONFIG.override([*settings, 'data.event_weights={"view": 1, "buy": 2.5}'])
    assert config.data.event_weights == (("view", 1.0), ("buy", 2.5))
    assert PipelineConfig.from_json(config.to_json()) == config
    assert config.override(["data.event_weights=[]"]).data.event_weights == ()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        *(
            (weights, r"should be a finite weight of at least 0 for each event type, such as \{")
            for weights in (
                *('{"view": -1}', '{"view": NaN}', '{"view": Infinity}', '{"view": true}'),
                *('{"view": "2"}', '["view"]', '[["view", 1, 2]]', '[["view", 1], ["view", 2]]'),
                *("[1]", "[[1, 1]]", '{"view": {"a": 1}}'),
            )
        ),
        ("view", "a JSON list"),
        ('{"cart": 2}', r"of types that stay \(events=view, buy\)"),
    ],
)
def test_bad_event_weights_say_what_is_valid(weights: str, message: str) -> None:
    settings = ["data.event_column=what", "data.repeats=keep_first", 'data.events=["view","buy"]']
    with pytest.raises(ValueError, match=message):
        CONFIG.override([*settings, f"data.event_weights={weights}"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event_column": ""}, "empty without event_column"),
        ({"repeats": "keep"}, "empty with repeats=keep"),
        ({"split": "global_time"}, "empty with split=global_time and without sessions"),
    ],
)
def test_weights_need_repeats_of_which_one_stays(changes: dict, message: str) -> None:
    config = DataConfig(
        event_column="what", event_weights=(("buy", 2.0),), repeats="drop_consecutive"
    )
    with pytest.raises(ValueError, match=rf"`event_weights` should be {message}"):
        replace(config, **changes)
    assert replace(config, split="global_time", session_gap_seconds=1.0).event_weights


@pytest.mark.parametrize("key", ["teacher.dilations", "search.hidden_dims", "data.events"])
def test_an_object_where_a_list_belongs_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=rf"`{key.split('.')[1]}` should be"):
        CONFIG.override(["data.event_column=what", f'{key}={{"a": 1}}'])


def test_the_last_of_repeats_is_not_known_at_a_cut_in_time() -> None:
    with pytest.raises(ValueError, match=r"`repeats` should be another with split=global_time"):
        DataConfig(repeats="keep_last", split="global_time")
    sessions = DataConfig(repeats="keep_last", split="global_time", session_gap_seconds=1.0)
    assert sessions.has_sessions


def test_weights_of_a_supernet_need_a_search() -> None:
    other = CONFIG.override(["search.genotype=front.json:2"])
    with pytest.raises(ValueError, match=r"`distillation\.initial_weights` should be fresh"):
        other.override(["distillation.initial_weights=supernet"])


def test_another_teacher_is_one_word_and_keeps_what_both_have() -> None:
    changed = CONFIG.override(["teacher.num_heads=4", "teacher.name=sasrec", "seed=3"]).teacher
    assert isinstance(changed, SASRecConfig)
    assert changed.num_heads == 4
    assert changed.hidden_dim == CONFIG.teacher.hidden_dim
    assert changed.num_blocks == CONFIG.teacher.num_blocks


def test_a_setting_of_another_teacher_is_an_error_that_names_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"one of dilations, dropout.*Received: 'num_heads'"):
        CONFIG.override(["teacher.num_heads=4"])


@pytest.mark.parametrize("kind", TeacherConfig.KINDS.values())
def test_every_teachers_config_survives_json(kind: type[TeacherConfig]) -> None:
    config = kind(hidden_dim=24)  # type: ignore[call-arg]
    assert TeacherConfig.from_json(config.to_json()) == config


def test_a_config_of_one_teacher_does_not_take_the_name_of_another() -> None:
    with pytest.raises(ValueError, match="that of a SASRecConfig"):
        SASRecConfig(name="nextitnet")


def test_smoothing_and_a_sampled_loss_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="`label_smoothing` should be 0 with a sampled loss"):
        TrainingConfig(loss="gbce", label_smoothing=0.1)


def test_a_depth_is_searched_by_scores_alone() -> None:
    CONFIG.override(["search.min_cells=1"])
    with pytest.raises(ValueError, match=r"`min_cells` should be 0 with alpha_gradient=gate"):
        CONFIG.override(["search.min_cells=1", "search.alpha_gradient=gate"])


def test_widths_go_with_the_frame_and_without_a_table_of_one_of_them() -> None:
    widths = CONFIG.override(["search.hidden_dims=[16,32]"])
    assert widths.search.hidden_dims == (16, 32)
    assert PipelineConfig.from_json(widths.to_json()) == widths
    with pytest.raises(ValueError, match="`cost_table` should be empty with hidden_dims"):
        widths.override(["search.cost_table=costs.json"])
    with pytest.raises(ValueError, match=r"even with item_table\.format=int4"):
        CONFIG.override(["student.item_table.format=int4", "search.hidden_dims=[16,33]"])
