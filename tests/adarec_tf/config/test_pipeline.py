import json
import pickle

import pytest

from adarec_tf.config.base import Config, SettingError
from adarec_tf.config.data import DataConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.teacher import BERT4RecConfig, NextItNetConfig, SASRecConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig
from tests.adarec_tf.hand_made_recipe import recipe

CONFIG = PipelineConfig(scene="test", seed=4)
KINDS = (NextItNetConfig, SASRecConfig, BERT4RecConfig)


def test_json_round_trip_is_identity() -> None:
    changed = CONFIG.override(["search.hidden_dims=[16,32]", "data.seen=keep", "seed=9"])
    assert PipelineConfig.from_json(changed.to_json()) == changed
    assert changed.search.hidden_dims == (16, 32)


def test_unknown_and_missing_keys_are_refused() -> None:
    values = json.loads(DataConfig().to_json())
    with pytest.raises(
        ValueError, match="`color` should be one of the settings event_column, event_weights"
    ):
        DataConfig.from_dict({**values, "color": 1})
    del values["seen"]
    with pytest.raises(ValueError, match=r"a value for every setting.* none for seen"):
        DataConfig.from_dict(values)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("teacher.hiden_dim=64", "one of dropout, hidden_dim"),
        ("techer.hidden_dim=64", "one of compute_dtype, data, distillation, effort"),
        ("teacher=64", "a single field: teacher.dropout, teacher.hidden_dim"),
        ("seed.value=1", "a single field: seed"),
        ("teacher.hidden_dim=wide", "an integer. Received: teacher.hidden_dim='wide'"),
        ("teacher.hidden_dim=64.5", "an integer"),
        ("teacher.hidden_dim=0", "`teacher.hidden_dim` should be greater than 0"),
        ("teacher.dropout=many", "a number"),
        ("teacher.dropout=1.5", "less than 1"),
        ("teacher.dropout=1.0", "less than 1"),
        ("training.learning_rate=Infinity", "finite"),
        ("search.num_evaluations=2.5", "an integer"),
        ("student.num_nodes=1", "at least 2"),
        ("student.precision=int2", "'float32', 'int8' or 'int4'"),
        ("student.hidden_dim.value=8", "a single field: student.hidden_dim"),
        ("search.hidden_dims=4", "a JSON list"),
        ("data.seen=sometimes", "'auto', 'exclude' or 'keep'"),
        ("data.split=random", "'leave_one_out' or 'global_time'"),
        ("data.test_time_share=0", "greater than 0"),
        ("data.test_time_share=0.5", "less than 0.5"),
        ("data.repeats=drop", "'keep', 'drop_consecutive', 'keep_first' or 'keep_last'"),
        ("data.time_unit=hours", "'seconds', 'milliseconds' or 'microseconds'"),
        ("data.session_gap_seconds=-1", "at least 0"),
        ("data.events=view", "a JSON list"),
        ('data.events=["view"]', "empty without event_column"),
        ("data.event_column=item_id", "another than user_id, item_id, timestamp"),
        ("search.warmup_epochs=99", "less than max_epochs"),
        ("search.min_cells=3", "`search.min_cells` should be at most student.num_cells=2"),
        ("search.min_cells=-1", "`search.min_cells` should be at least 0"),
        (
            "search.hidden_dims=[16]",
            "`search.hidden_dims` should be empty, or two or more different",
        ),
        ("search.hidden_dims=[16,16]", "two or more different widths"),
        ("search.hidden_dims=[16,-8]", "`search.hidden_dims.1` should be greater than 0"),
        ("serving.server_tls_ca=ca.pem", "given with server_address alone"),
        ("serving.server_tls_cert=cert.pem", "given with server_tls_ca alone"),
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


def test_values_are_checked_on_construction() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        DataConfig(min_user_interactions=2)
    with pytest.raises(ValueError, match="three different names"):
        DataConfig(user_column="item_id")


def test_event_types_are_different_names() -> None:
    config = CONFIG.override(["data.event_column=what", 'data.events=["view","buy"]'])
    assert config.data.events == ("view", "buy")
    assert PipelineConfig.from_json(config.to_json()) == config
    for events, message in (
        ('["view","view"]', r"`data\.events` should be different event types"),
        ("[1]", r"`data\.events\.0` should be text"),
        ('[["view",1]]', r"`data\.events\.0` should be text"),
    ):
        with pytest.raises(ValueError, match=message):
            config.override([f"data.events={events}"])


def test_event_weights_are_written_as_an_object() -> None:
    settings = ["data.event_column=what", "data.repeats=keep_first"]
    config = CONFIG.override([*settings, 'data.event_weights={"view": 1, "buy": 2.5}'])
    assert config.data.event_weights == {"view": 1.0, "buy": 2.5}
    assert PipelineConfig.from_json(config.to_json()) == config
    assert config.override(["data.event_weights={}"]).data.event_weights == {}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ('{"view": -1}', r"`data\.event_weights\.view` should be at least 0"),
        ('{"view": NaN}', "a finite number"),
        ('{"view": Infinity}', "a finite number"),
        ('{"view": true}', "a number"),
        ('{"view": "2"}', "a number"),
        ('{"view": {"a": 1}}', "a number"),
        ('["view"]', r"a JSON object, such as \{"),
        ('[["view", 1]]', r"a JSON object, such as \{"),
        ("view", r"a JSON object, such as \{"),
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
    config = DataConfig(event_column="what", event_weights={"buy": 2.0}, repeats="drop_consecutive")
    with pytest.raises(ValueError, match=rf"`event_weights` should be {message}"):
        config.replace(**changes)
    assert config.replace(split="global_time", session_gap_seconds=1.0).event_weights


@pytest.mark.parametrize("key", ["search.hidden_dims", "data.events"])
def test_an_object_where_a_list_belongs_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=rf"`{key}` should be a JSON list"):
        CONFIG.override(["data.event_column=what", f'{key}={{"a": 1}}'])


def test_the_last_of_repeats_is_not_known_at_a_cut_in_time() -> None:
    with pytest.raises(ValueError, match=r"`repeats` should be another with split=global_time"):
        DataConfig(repeats="keep_last", split="global_time")
    sessions = DataConfig(repeats="keep_last", split="global_time", session_gap_seconds=1.0)
    assert sessions.has_sessions


def test_another_teacher_is_one_word_and_keeps_what_both_have() -> None:
    changed = CONFIG.override(["teacher.num_heads=4", "teacher.name=sasrec", "seed=3"]).teacher
    assert isinstance(changed, SASRecConfig)
    assert changed.num_heads == 4
    assert changed.hidden_dim == CONFIG.teacher.hidden_dim
    assert changed.num_blocks == CONFIG.teacher.num_blocks


def test_a_setting_of_another_teacher_is_an_error_that_names_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"one of dropout, hidden_dim.*Received: 'num_heads'"):
        CONFIG.override(["teacher.num_heads=4"])


def test_settings_that_are_given_by_hand_are_noted() -> None:
    changed = CONFIG.override(["teacher.dropout=0.3", "seed=3", "data.max_length=20"])
    assert changed.fixed == ("teacher.dropout",)
    again = changed.override(["search.max_epochs=9", "teacher.dropout=0.1"])
    assert again.fixed == ("teacher.dropout", "search.max_epochs")
    assert CONFIG.fixed == ()


def test_an_effort_forgets_what_a_scene_decided_and_nothing_else() -> None:
    scene = CONFIG.override(
        ["data.max_length=9", "evaluation.max_latency_ms=7", "compute_dtype=bfloat16"]
    ).replace(
        teacher=SASRecConfig(hidden_dim=24),
        training=TrainingConfig(max_epochs=7, patience=8),
        student=CONFIG.student.replace(num_cells=3),
        search=CONFIG.search.replace(max_macs=9),
        distillation=CONFIG.distillation.replace(kd_weight=0.25),
    )
    found = scene.override(["training.patience=6", "effort=quick"])
    stages = ("teacher", "student", "search", "distillation")
    assert found == scene.replace(
        effort="quick",
        fixed=("training.patience",),
        training=TrainingConfig(patience=6),
        **{stage: getattr(PipelineConfig(scene="any"), stage) for stage in stages},
    )
    assert scene.override(["effort=none"]) == scene


def test_a_recipe_decides_what_was_not_given_by_hand() -> None:
    given = CONFIG.override(["effort=standard", "teacher.num_blocks=1", "data.seen=keep"])
    made = recipe(
        teacher__name="sasrec",
        teacher__num_blocks=5,
        training__max_epochs=7,
        student__hidden_dim=24,
        search__max_bytes=99,
        distillation__kd_weight=0.25,
    )
    assert made.scene.seen != "keep"
    decided = given.with_recipe(made)
    assert decided == given.replace(
        effort="none",
        data=given.data.replace(max_length=20, windows="last"),
        teacher=given.override(["teacher.name=sasrec"]).teacher,
        training=given.training.replace(max_epochs=7),
        student=given.student.replace(hidden_dim=24),
        search=given.search.replace(max_bytes=99),
        distillation=given.distillation.replace(kd_weight=0.25),
    )
    assert decided.with_recipe(made) == decided
    shorter = given.override(["data.max_length=9"])
    assert shorter.with_recipe(made).data.max_length == 9


@pytest.mark.parametrize("kind", TeacherConfig.KINDS.values())
def test_every_teachers_config_survives_json(kind: type[TeacherConfig]) -> None:
    config = kind(hidden_dim=24)  # type: ignore[call-arg]
    assert TeacherConfig.from_json(config.to_json()) == config


def test_a_config_of_one_teacher_does_not_take_the_name_of_another() -> None:
    with pytest.raises(ValueError, match="`name` should be 'sasrec'"):
        SASRecConfig(name="nextitnet")


def test_widths_go_with_the_frame_and_without_a_table_of_one_of_them() -> None:
    widths = CONFIG.override(["search.hidden_dims=[16,32]"])
    assert widths.search.hidden_dims == (16, 32)
    assert PipelineConfig.from_json(widths.to_json()) == widths
    with pytest.raises(ValueError, match=r"`search\.cost_table` should be empty with hidden_dims"):
        widths.override(["search.cost_table=costs.json"])
    with pytest.raises(ValueError, match="even with precision=int4"):
        CONFIG.override(["student.precision=int4", "search.hidden_dims=[16,33]"])


@pytest.mark.parametrize("value", ["3", True, 3.0])
def test_nothing_is_converted_to_an_integer(value: object) -> None:
    with pytest.raises(ValueError, match="`max_epochs` should be an integer"):
        TrainingConfig.from_dict({**TrainingConfig().to_dict(), "max_epochs": value})


@pytest.mark.parametrize("value", ["0.5", True])
def test_only_whole_numbers_stand_for_floats(value: object) -> None:
    with pytest.raises(ValueError, match="`learning_rate` should be a number"):
        TrainingConfig(learning_rate=value)  # type: ignore[arg-type]
    settings = TrainingConfig.from_dict({**TrainingConfig().to_dict(), "learning_rate": 1})
    assert '"learning_rate": 1.0' in settings.to_json()


def test_every_setting_has_a_description_of_one_sentence() -> None:
    stages = [CONFIG, *(stage for _, stage in CONFIG if isinstance(stage, Config))]
    fields = [
        (name, field.description)
        for config in (*map(type, stages), *KINDS)
        for name, field in config.model_fields.items()
        if not isinstance(getattr(CONFIG, name, None), Config)
    ]
    assert [name for name, text in fields if not (text or "").strip().endswith(".")] == []
    assert len(fields) > 80


def test_an_error_survives_the_way_between_processes() -> None:
    with pytest.raises(SettingError) as raised:
        CONFIG.override(["teacher.dropout=2"])
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert raised.value.path == "teacher.dropout"


def _settings(config: type[Config], path: str = "") -> set[str]:
    """Every setting below a config, of the teacher those of all kinds."""
    found = set()
    for name, field in config.model_fields.items():
        kind = field.annotation
        kinds = KINDS if kind is TeacherConfig else (kind,)
        for one in kinds:
            is_stage = isinstance(one, type) and issubclass(one, Config)
            found |= _settings(one, f"{path}{name}.") if is_stage else {path + name}
    return found


def test_a_run_has_few_settings() -> None:
    settings = _settings(PipelineConfig)
    assert {"seed", "teacher.num_heads", "training.max_epochs"} < settings
    assert len(settings) <= 85
