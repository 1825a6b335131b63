"""One frozen dataclass per stage, and the `PipelineConfig` that holds them.

Values are validated on construction. `to_json` and `from_json` carry the settings of a stage to a
component (TFX parameters are primitive) and into the folder of a run; unknown and missing keys are
refused.
Defaults are the paper's (arXiv:2107.07173v2) where a comment does not say otherwise.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from adarec_tf.item_table_config import ItemTableConfig
from adarec_tf.json_config import (
    JsonConfig,
    check,
    check_choice,
    check_fraction,
    check_non_negative_integer,
    check_non_negative_number,
    check_positive_integer,
    check_positive_number,
    check_share_below_one,
)
from adarec_tf.teacher_config import NextItNetConfig, TeacherConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig(JsonConfig):
    """From raw interactions to split histories."""

    user_column: str = "user_id"
    item_column: str = "item_id"
    time_column: str = "timestamp"
    min_user_interactions: int = 3  # leave-one-out needs one each to train, select and test
    min_item_interactions: int = 1
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

    SEEN_OPTIONS: ClassVar[tuple[str, ...]] = ("auto", "exclude", "keep")
    SPLIT_OPTIONS: ClassVar[tuple[str, ...]] = ("leave_one_out", "global_time")

    def __post_init__(self) -> None:
        check_positive_integer(self, "min_item_interactions", "max_length")
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
        columns = (self.user_column, self.item_column, self.time_column)
        check(all(columns) and len(set(columns)) == 3, "columns", "three different names", columns)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(JsonConfig):
    """The fit loop of the teacher: AdamW, linear warm-up then cosine decay, early stopping."""

    max_epochs: int = 30
    patience: int = 3  # epochs without a better validation NDCG@10 before stopping
    positions_per_batch: int = 1024  # positions, padding included, so long histories cost no more
    learning_rate: float = 2e-3
    warmup_share: float = 0.05  # of all steps
    weight_decay: float = 0.0
    clip_norm: float = 5.0
    label_smoothing: float = 0.0  # of the full softmax
    # `softmax` over the catalogue; `sampled_softmax` (with logQ correction) or `gbce` over a sample
    # of it, for catalogues of a size where the logits of every item cost most of a step.
    loss: str = "softmax"
    num_negatives: int = 1024  # of a sampled loss, shared by the positions of a batch
    gbce_calibration: float = 0.75  # t of gBCE: 0 is plain BCE, 1 as calibrated as softmax
    compute_dtype: str = "float32"  # of the catalogue logits: `bfloat16` where the CPU has it
    windows: str = "last"  # of a history longer than a model sees, or `all` of it in windows
    # Of equal architecture, from seeds of their own; they teach together. The first is the one that
    # a student is compared with.
    num_teachers: int = 1

    WINDOWS: ClassVar[tuple[str, ...]] = ("last", "all")
    LOSSES: ClassVar[tuple[str, ...]] = ("softmax", "sampled_softmax", "gbce")
    COMPUTE_DTYPES: ClassVar[tuple[str, ...]] = ("float32", "bfloat16")

    def __post_init__(self) -> None:
        check_positive_integer(
            self,
            *("max_epochs", "patience", "positions_per_batch", "num_negatives", "num_teachers"),
        )
        check_positive_number(self, "learning_rate", "clip_norm")
        check_non_negative_number(self, "weight_decay")
        check_fraction(self, "warmup_share", "label_smoothing", "gbce_calibration")
        check_choice(self, "loss", self.LOSSES)
        check_choice(self, "compute_dtype", self.COMPUTE_DTYPES)
        check_choice(self, "windows", self.WINDOWS)
        check(
            self.label_smoothing == 0 or self.loss == "softmax",
            "label_smoothing",
            "0 with a sampled loss",
            self.label_smoothing,
        )


@dataclass(frozen=True, kw_only=True)
class StudentConfig(JsonConfig):
    """The frame of the student: what the genotype does not decide."""

    hidden_dim: int = 32
    num_cells: int = 2  # paper: 4
    num_nodes: int = 3
    dropout: float = 0.1
    item_table: ItemTableConfig = field(default_factory=ItemTableConfig)

    def __post_init__(self) -> None:
        check_positive_integer(self, "hidden_dim", "num_cells")
        check(
            type(self.num_nodes) is int and self.num_nodes >= 2,
            "num_nodes",
            "an integer of at least 2: the norm of a cell hides which operation feeds a lone node",
            self.num_nodes,
        )
        check_share_below_one(self, "dropout")
        table = self.item_table
        check(
            table.format != "low_rank" or table.rank < self.hidden_dim,
            "item_table.rank",
            f"less than hidden_dim={self.hidden_dim}",
            table.rank,
        )
        check(
            table.format != "product_codes" or self.hidden_dim % table.num_codes == 0,
            "item_table.num_codes",
            f"a divisor of hidden_dim={self.hidden_dim}",
            table.num_codes,
        )


@dataclass(frozen=True, kw_only=True)
class DistillationConfig(JsonConfig):
    """What the student learns from the teacher, in the search and in the final training."""

    kd_weight: float = 0.5  # γ: (1 - γ) task + γ distillation
    # Of each term, and how it goes over the training: `constant`, `fall` (linearly to 0), `rise`.
    embedding_weight: float = 1.0
    hidden_weight: float = 1.0
    logits_weight: float = 1.0
    embedding_schedule: str = "constant"
    hidden_schedule: str = "constant"
    logits_schedule: str = "constant"
    # Which student layer learns from which teacher layer: `emd` (paper), `sinkhorn` (the same with
    # an entropic plan, in the graph), or a fixed mapping.
    hidden_mapping: str = "emd"
    ground_distance: str = "kl"  # of the softmaxed states (paper), normalised `mse`, or `cosine`
    mass_update: str = "softmax"  # or `normalise`, or `none`: equal masses throughout
    mass_temperature: float = 1.0
    mass_momentum: float = 0.9  # share of the old masses kept by an update
    sinkhorn_regularisation: float = 0.05  # in units of the mean ground distance
    kd_temperature: float = 1.0
    # The catalogue, or only the union of the teacher's and the student's `num_top_items` best.
    logits_items: str = "all"
    num_top_items: int = 100
    initial_weights: str = "fresh"  # or `supernet`: those that the search ended with
    initial_table: str = "random"  # or `teacher`: what the teacher's item table is in this format
    # Of the teacher's outputs for the training positions; a larger cache is not made, and the
    # teacher runs in every step instead.
    max_cache_bytes: int = 4 * 2**30
    max_epochs: int = 30
    patience: int = 3
    positions_per_batch: int = 1024
    learning_rate: float = 2e-3
    warmup_share: float = 0.05
    weight_decay: float = 0.0
    clip_norm: float = 5.0
    compute_dtype: str = "float32"  # of the catalogue logits: `bfloat16` where the CPU has it
    windows: str = "last"  # of a history longer than a model sees, or `all` of it in windows

    SCHEDULES: ClassVar[tuple[str, ...]] = ("constant", "fall", "rise")
    HIDDEN_MAPPINGS: ClassVar[tuple[str, ...]] = ("emd", "sinkhorn", "first", "last", "uniform")
    GROUND_DISTANCES: ClassVar[tuple[str, ...]] = ("kl", "mse", "cosine")
    MASS_UPDATES: ClassVar[tuple[str, ...]] = ("softmax", "normalise", "none")
    LOGITS_ITEMS: ClassVar[tuple[str, ...]] = ("all", "top")
    INITIAL_WEIGHTS: ClassVar[tuple[str, ...]] = ("fresh", "supernet")
    INITIAL_TABLES: ClassVar[tuple[str, ...]] = ("random", "teacher")

    def __post_init__(self) -> None:
        check_fraction(self, "kd_weight", "mass_momentum", "warmup_share")
        check_non_negative_number(
            self, "embedding_weight", "hidden_weight", "logits_weight", "weight_decay"
        )
        check_positive_number(
            self, "kd_temperature", "mass_temperature", "learning_rate", "clip_norm"
        )
        check_positive_number(self, "sinkhorn_regularisation")
        check_positive_integer(
            self, "max_epochs", "patience", "positions_per_batch", "num_top_items"
        )
        check_non_negative_integer(self, "max_cache_bytes")
        for schedule in ("embedding_schedule", "hidden_schedule", "logits_schedule"):
            check_choice(self, schedule, self.SCHEDULES)
        check_choice(self, "hidden_mapping", self.HIDDEN_MAPPINGS)
        check_choice(self, "ground_distance", self.GROUND_DISTANCES)
        check_choice(self, "mass_update", self.MASS_UPDATES)
        check_choice(self, "logits_items", self.LOGITS_ITEMS)
        check_choice(self, "initial_weights", self.INITIAL_WEIGHTS)
        check_choice(self, "initial_table", self.INITIAL_TABLES)
        check_choice(self, "compute_dtype", TrainingConfig.COMPUTE_DTYPES)
        check_choice(self, "windows", TrainingConfig.WINDOWS)

    def training(self) -> TrainingConfig:
        """The settings of the fit loop alone."""
        names = [item.name for item in dataclasses.fields(TrainingConfig)]
        return TrainingConfig(**{n: getattr(self, n) for n in names if hasattr(self, n)})


@dataclass(frozen=True, kw_only=True)
class SearchConfig(JsonConfig):
    """The bi-level search: weights on one half of the training users, alphas on the other."""

    max_epochs: int = 10
    # Weights alone, before the alphas move: an operation without weights is good at once, and wins
    # against convolutions that have not been trained yet.
    warmup_epochs: int = 5
    patience: int = 2  # epochs with an unchanged genotype before stopping
    positions_per_batch: int = 1024
    learning_rate: float = 2e-3
    alpha_learning_rate: float = 3e-2  # the released code's 2e-5 leaves the alphas where they began
    weight_decay: float = 0.0
    warmup_share: float = 0.05  # of the steps, in which the learning rate of the weights rises
    clip_norm: float = 5.0
    gumbel_temperature: float = 1.0
    cost_weight: float = 0.05  # β, on a cost in units of the teacher's encoder
    # Of the cost; parameters and MACs share the rest. Latency is measured and put into the trace,
    # but varies from run to run: priced, equal seeds would no longer find equal genotypes.
    cost_latency_share: float = 0.0
    validation_users: int = 4096  # that rank candidates; all of them where there are fewer
    num_candidates: int = 4  # sampled architectures ranked on validation beside the argmax

    def __post_init__(self) -> None:
        check_positive_integer(
            self, "max_epochs", "patience", "positions_per_batch", "validation_users"
        )
        check_non_negative_number(self, "weight_decay", "cost_weight")
        check_non_negative_integer(self, "warmup_epochs", "num_candidates")
        check(
            self.warmup_epochs < self.max_epochs,
            "warmup_epochs",
            f"less than max_epochs={self.max_epochs}, so that the alphas are trained at all",
            self.warmup_epochs,
        )
        check_positive_number(
            self, "learning_rate", "alpha_learning_rate", "clip_norm", "gumbel_temperature"
        )
        check_fraction(self, "cost_latency_share", "warmup_share")

    def training(self) -> TrainingConfig:
        """The settings of the weights' optimiser alone."""
        names = [item.name for item in dataclasses.fields(TrainingConfig)]
        return TrainingConfig(**{n: getattr(self, n) for n in names if hasattr(self, n)})


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

    def __post_init__(self) -> None:
        check_positive_integer(self, "num_validation_requests", "keep_versions")
        check(bool(self.model_name), "model_name", "a non-empty name", self.model_name)


@dataclass(frozen=True, kw_only=True)
class PipelineConfig(JsonConfig):
    """A whole run: the scene, the seed and every stage."""

    scene: str
    seed: int = 1
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

    def override(self, assignments: Sequence[str]) -> Self:
        """Returns a copy with `stage.field=value` (or `field=value`, as in `seed=7`) applied.

        A value is read as JSON where it is JSON, and as text otherwise.

        Raises:
          ValueError: a key is unknown (the valid ones are named), or a value is not allowed.
        """
        values = self.to_dict()
        settings = [_parse_assignment(assignment) for assignment in assignments]
        for key, text in settings:
            if key == "teacher.name":
                values["teacher"] = _other_teacher(values["teacher"], text)
        for key, text in settings:
            _assign(values, key.split("."), text, key)
        return type(self).from_dict(values)


def _parse_assignment(assignment: str) -> tuple[str, str]:
    key, separator, text = assignment.partition("=")
    if not separator:
        raise ValueError(
            f"A setting should have the form stage.field=value. Received: {assignment!r}."
        )
    return key.strip(), text


def _other_teacher(values: dict[str, Any], name: str) -> dict[str, Any]:
    """The settings of another kind of teacher: what both have is kept, the rest is by default."""
    defaults = TeacherConfig.kind(name)(name=name).to_dict()
    return {**defaults, **{k: v for k, v in values.items() if k in defaults}, "name": name}


def _assign(values: dict[str, Any], path: Sequence[str], text: str, key: str) -> None:
    name, rest = path[0], path[1:]
    if name not in values:
        raise ValueError(
            f"`{key}` should be a setting of the run: here one of {', '.join(sorted(values))}. "
            f"Received: {name!r}."
        )
    is_stage = isinstance(values[name], dict)
    if is_stage != bool(rest):
        given = key.removesuffix("." + ".".join(rest))
        valid = (
            ", ".join(f"{given}.{field_name}" for field_name in sorted(values[name]))
            if is_stage
            else given
        )
        raise ValueError(f"`{key}` should be a single field: {valid}. Received: {key}={text}.")
    if is_stage:
        _assign(values[name], rest, text, key)
        return
    values[name] = _parse_like(values[name], text, key)


def _parse_like(old: Any, text: str, key: str) -> Any:
    """Reads `text` as a value of the same kind as `old`."""
    if isinstance(old, str):
        return text
    try:
        new = json.loads(text)
    except json.JSONDecodeError:
        new = text
    is_number = isinstance(new, int | float) and not isinstance(new, bool)
    kinds: dict[type, tuple[str, bool]] = {
        bool: ("true or false", isinstance(new, bool)),
        int: ("an integer", is_number and isinstance(new, int)),
        float: ("a number", is_number),
        list: ("a JSON list such as [1, 4]", isinstance(new, list)),
    }
    expected, matches = kinds[type(old)]
    if not matches:
        raise ValueError(f"`{key}` should be {expected}. Received: {key}={text}.")
    return new
