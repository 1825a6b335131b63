"""One frozen dataclass per stage, and the `PipelineConfig` that holds them.

The larger ones are in files of their own (`*_config.py`).

Values are validated on construction. `to_json` and `from_json` carry the settings of a stage to a
component (TFX parameters are primitive) and into the folder of a run; unknown and missing keys are
refused.
Defaults are the paper's (arXiv:2107.07173v2) where a comment does not say otherwise.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from adarec_tf.distillation_config import DistillationConfig
from adarec_tf.item_table_config import ItemTableConfig
from adarec_tf.json_config import (
    JsonConfig,
    assign,
    check,
    check_choice,
    check_fraction,
    check_non_negative_number,
    check_positive_integer,
    check_positive_number,
    check_share_below_one,
    parse_assignment,
)
from adarec_tf.search_config import SearchConfig
from adarec_tf.spans_config import SpansConfig
from adarec_tf.teacher_config import NextItNetConfig, TeacherConfig
from adarec_tf.training_config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig(JsonConfig):
    """From raw interactions to split histories."""

    user_column: str = "user_id"
    item_column: str = "item_id"
    time_column: str = "timestamp"
    event_column: str = ""  # says what a row is, a view or a purchase; empty: no column does
    events: tuple[str, ...] = ()  # the types of events that stay; empty: all
    min_user_interactions: int = 3  # leave-one-out needs one each to train, select and test
    min_item_interactions: int = 1
    # How often both filters run, items first. One pass of the users can leave items below their
    # minimum; 0 goes on until both minimums hold (the k-core).
    core_rounds: int = 1
    max_length: int = 50  # items of a history a model sees
    seen: str = "auto"  # are items of the history candidates? `exclude`, `keep`, or by the log
    max_repeat_share: float = 0.01  # `auto` excludes seen items up to this share of repeats
    # `leave_one_out`: the last items of each user are the targets. `global_time`: one cut in time
    # for all users, so that nothing is trained on that was not known when a target was taken.
    split: str = "leave_one_out"
    # Of the interactions, the last ones in time are the test period, those before the validation
    # period. Only `global_time` reads these.
    valid_time_share: float = 0.1
    test_time_share: float = 0.1
    # A user's interactions become sessions, each a history of its own, wherever the gap to the one
    # before is longer; 0 cuts none.
    session_gap_seconds: float = 0.0
    time_unit: str = "seconds"  # of numbers in the log; Parquet dates and times are microseconds
    # Which of a history's interactions with one item stay: all, one of each run with no other item
    # between, the first, the last.
    repeats: str = "keep"
    # Longer training histories are cut into windows of so many items, each a record of its own
    # that shares `window_overlap` items with the one before; 0 cuts none.
    window_length: int = 0
    window_overlap: int = 1
    # Interactions that a worker of the preprocessor sorts at once; more of them wait on disk. The
    # result is the same.
    max_rows_in_memory: int = 1 << 22

    SEEN_OPTIONS: ClassVar[tuple[str, ...]] = ("auto", "exclude", "keep")
    SPLIT_OPTIONS: ClassVar[tuple[str, ...]] = ("leave_one_out", "global_time")
    REPEATS_OPTIONS: ClassVar[tuple[str, ...]] = (
        "keep",
        "drop_consecutive",
        "keep_first",
        "keep_last",
    )
    UNITS_PER_SECOND: ClassVar[dict[str, int]] = {
        "seconds": 1,
        "milliseconds": 1000,
        "microseconds": 1_000_000,
    }

    def __post_init__(self) -> None:
        check_positive_integer(self, "min_item_interactions", "max_length", "max_rows_in_memory")
        check(
            type(self.core_rounds) is int and self.core_rounds >= 0,
            "core_rounds",
            "a number of rounds, or 0 to go on until nothing more is removed",
            self.core_rounds,
        )
        check(
            type(self.min_user_interactions) is int and self.min_user_interactions >= 3,
            "min_user_interactions",
            "an integer of at least 3 (one item each to train, select and test)",
            self.min_user_interactions,
        )
        check_choice(self, "seen", self.SEEN_OPTIONS)
        check_fraction(self, "max_repeat_share")
        check_choice(self, "split", self.SPLIT_OPTIONS)
        check_positive_number(self, "valid_time_share", "test_time_share")
        check(
            self.valid_time_share + self.test_time_share < 1,
            "valid_time_share",
            f"less than 1 with test_time_share={self.test_time_share}: the rest is for training",
            self.valid_time_share,
        )
        check_non_negative_number(self, "session_gap_seconds")
        check_choice(self, "time_unit", tuple(self.UNITS_PER_SECOND))
        check_choice(self, "repeats", self.REPEATS_OPTIONS)
        check(
            self.repeats != "keep_last" or self.split != "global_time" or self.has_sessions,
            "repeats",
            "another with split=global_time and without sessions: what is trained on would depend "
            "on what came after the cut",
            self.repeats,
        )
        self._check_windows()
        columns = (self.user_column, self.item_column, self.time_column)
        check(all(columns) and len(set(columns)) == 3, "columns", "three different names", columns)
        check(
            self.event_column not in columns,
            "event_column",
            f"another than {', '.join(columns)}",
            self.event_column,
        )
        self._check_events()

    def _check_events(self) -> None:
        is_text = all(isinstance(event, str) for event in self.events)
        check(
            is_text and len(set(self.events)) == len(self.events),
            "events",
            'different event types as text, such as ["view", "purchase"]',
            self.events,
        )
        check(
            bool(self.event_column) or not self.events,
            "events",
            "empty without event_column: name the column of the log that says what a row is",
            self.events,
        )

    def _check_windows(self) -> None:
        check(
            type(self.window_length) is int
            and self.window_length in (0, *range(2, self.max_length + 2)),
            "window_length",
            f"0, or 2 to {self.max_length + 1} items: `max_length` and one to predict",
            self.window_length,
        )
        check_positive_integer(self, "window_overlap")
        check(
            self.window_length == 0 or self.window_overlap < self.window_length,
            "window_overlap",
            f"less than window_length={self.window_length}",
            self.window_overlap,
        )

    @property
    def has_sessions(self) -> bool:
        """Whether histories are sessions."""
        return self.session_gap_seconds > 0


@dataclass(frozen=True, kw_only=True)
class StudentConfig(JsonConfig):
    """The frame of the student: what the genotype does not decide."""

    hidden_dim: int = 32
    num_cells: int = 2  # paper: 4
    num_nodes: int = 3
    dropout: float = 0.1
    item_table: ItemTableConfig = field(default_factory=ItemTableConfig)
    # Of the convolutions: `float32`, or `int8`, a byte a weight and a scale an output channel.
    kernel_format: str = "float32"

    KERNEL_FORMATS: ClassVar[tuple[str, ...]] = ("float32", "int8")

    def __post_init__(self) -> None:
        check_positive_integer(self, "hidden_dim", "num_cells")
        check(
            type(self.num_nodes) is int and self.num_nodes >= 2,
            "num_nodes",
            "an integer of at least 2: the norm of a cell hides which operation feeds a lone node",
            self.num_nodes,
        )
        check_share_below_one(self, "dropout")
        check_choice(self, "kernel_format", self.KERNEL_FORMATS)
        table = self.item_table
        check(
            table.format != "low_rank" or table.rank < self.hidden_dim,
            "item_table.rank",
            f"less than hidden_dim={self.hidden_dim}",
            table.rank,
        )
        check(
            table.format != "int4" or self.hidden_dim % 2 == 0,
            "hidden_dim",
            "even with item_table.format=int4, two numbers a byte",
            self.hidden_dim,
        )
        check(
            table.format != "product_codes" or self.hidden_dim % table.num_codes == 0,
            "item_table.num_codes",
            f"a divisor of hidden_dim={self.hidden_dim}",
            table.num_codes,
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(JsonConfig):
    """What a student must show to be blessed."""

    min_teacher_ndcg_share: float = 0.9  # of the teacher's NDCG@10 on the test targets
    max_latency_ms: float = 50.0  # p50 of one request, in process
    latency_requests: int = 200

    def __post_init__(self) -> None:
        check_non_negative_number(self, "min_teacher_ndcg_share")
        check_positive_number(self, "max_latency_ms")
        check_positive_integer(self, "latency_requests")


@dataclass(frozen=True, kw_only=True)
class ServingConfig(JsonConfig):
    """How the student is validated and pushed."""

    model_name: str = "student"
    num_validation_requests: int = 16
    keep_versions: int = 5  # older pushed versions are deleted
    # HOST:PORT of a running server that watches the pushed folder: a version that does not answer
    # there is taken back. "" asks none.
    server_address: str = ""
    server_tls_ca: str = ""  # PEM file: who signs that server's certificate; "" is for plain text
    server_tls_cert: str = ""  # PEM files: a certificate to show it, where it asks for one,
    server_tls_key: str = ""  # and its key

    def __post_init__(self) -> None:
        check_positive_integer(self, "num_validation_requests", "keep_versions")
        check(bool(self.model_name), "model_name", "a non-empty name", self.model_name)
        check(
            bool(self.server_address) or not self.server_tls_ca,
            *("server_tls_ca", "given with server_address alone", self.server_tls_ca),
        )
        check(
            bool(self.server_tls_ca) or not self.server_tls_cert,
            *("server_tls_cert", "given with server_tls_ca alone", self.server_tls_cert),
        )
        check(
            bool(self.server_tls_cert) == bool(self.server_tls_key),
            *("server_tls_key", "given with server_tls_cert", self.server_tls_key),
        )


@dataclass(frozen=True, kw_only=True)
class PipelineConfig(JsonConfig):
    """A whole run: the scene, the seed and every stage."""

    scene: str
    seed: int = 1
    spans: SpansConfig = field(default_factory=SpansConfig)
    data: DataConfig = field(default_factory=DataConfig)
    teacher: TeacherConfig = field(default_factory=NextItNetConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)

    def __post_init__(self) -> None:
        check(bool(self.scene), "scene", "a non-empty name", self.scene)
        check(type(self.seed) is int and self.seed >= 0, "seed", "an integer >= 0", self.seed)
        check(
            not self.search.genotype or self.distillation.initial_weights != "supernet",
            "distillation.initial_weights",
            "fresh with search.genotype, which trains no supernet",
            self.distillation.initial_weights,
        )
        self.search.num_optional_cells(self.student.num_cells)
        for width in self.search.hidden_dims:
            dataclasses.replace(self.student, hidden_dim=width)

    def override(self, assignments: Sequence[str]) -> Self:
        """Returns a copy with `stage.field=value` (or `field=value`, as in `seed=7`) applied.

        A value is read as JSON where it is JSON, and as text otherwise.

        Raises:
          ValueError: a key is unknown (the valid ones are named), or a value is not allowed.
        """
        values = self.to_dict()
        settings = [parse_assignment(assignment) for assignment in assignments]
        for key, text in settings:
            if key == "teacher.name":
                values["teacher"] = _other_teacher(values["teacher"], text)
        for key, text in settings:
            assign(values, key.split("."), text, key)
        return type(self).from_dict(values)


def _other_teacher(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The settings of another kind of teacher: what both have is kept, the rest is by default."""
    defaults = TeacherConfig.kind(name)(name=name).to_dict()
    return {**defaults, **{k: v for k, v in values.items() if k in defaults}, "name": name}
