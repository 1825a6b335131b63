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

from adarec_tf.data_config import DataConfig
from adarec_tf.distillation_config import DistillationConfig
from adarec_tf.item_table_config import ItemTableConfig
from adarec_tf.json_config import (
    JsonConfig,
    assign,
    check,
    check_choice,
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
