"""How a student is distilled, in the search and in its final training."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from adarec_tf.config.base import (
    JsonConfig,
    check_choice,
    check_fraction,
    check_non_negative_integer,
    check_non_negative_number,
    check_positive_integer,
    check_positive_number,
)
from adarec_tf.config.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class DistillationConfig(JsonConfig):
    """What the student learns from the teacher, in the search and in the final training."""

    kd_weight: float = 0.5  # γ: (1 - γ) task + γ distillation
    # Of each term, and how it goes over the training: `constant`, `fall` (linearly to 0), `rise`.
    embedding_weight: float = 1.0
    # 0 where the paper has the layers' Earth Mover's Distance: see the README, it adds nothing that
    # could be told from noise, and takes time.
    hidden_weight: float = 0.0
    logits_weight: float = 1.0
    embedding_schedule: str = "constant"
    hidden_schedule: str = "constant"
    logits_schedule: str = "constant"
    # Which student layer learns from which teacher layer: `emd` (paper), `sinkhorn` (the same with
    # an entropic plan, in the graph), or a fixed mapping.
    hidden_mapping: str = "emd"
    ground_distance: str = "kl"  # of the softmaxed states (paper), normalized `mse`, or `cosine`
    mass_update: str = "softmax"  # or `normalize`, or `none`: equal masses throughout
    mass_temperature: float = 1.0
    mass_momentum: float = 0.9  # share of the old masses kept by an update
    sinkhorn_regularization: float = 0.05  # in units of the mean ground distance
    kd_temperature: float = 1.0
    # Items of the logits term: the catalog; the union of the teacher's and the student's `top`
    # items; or `sampled`, the task's too: the teacher's best, and a sample for the others.
    logits_items: str = "all"
    num_top_items: int = 100
    num_sampled_items: int = 512
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
    compute_dtype: str = "float32"  # of the catalog logits: `bfloat16` where the CPU has it
    windows: str = "last"  # of a history longer than a model sees, or `all` of it in windows

    SCHEDULES: ClassVar[tuple[str, ...]] = ("constant", "fall", "rise")
    HIDDEN_MAPPINGS: ClassVar[tuple[str, ...]] = ("emd", "sinkhorn", "first", "last", "uniform")
    GROUND_DISTANCES: ClassVar[tuple[str, ...]] = ("kl", "mse", "cosine")
    MASS_UPDATES: ClassVar[tuple[str, ...]] = ("softmax", "normalize", "none")
    LOGITS_ITEMS: ClassVar[tuple[str, ...]] = ("all", "top", "sampled")
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
        check_positive_number(self, "sinkhorn_regularization")
        check_positive_integer(
            self, "max_epochs", "patience", "positions_per_batch", "num_top_items"
        )
        check_positive_integer(self, "num_sampled_items")
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

    @property
    def num_kept_items(self) -> int:
        """Best items of the teacher at each position that its states have to come with."""
        return self.num_top_items if self.logits_items == "sampled" else 0

    def training(self) -> TrainingConfig:
        """The settings of the fit loop alone."""
        names = [item.name for item in dataclasses.fields(TrainingConfig)]
        return TrainingConfig(**{n: getattr(self, n) for n in names if hasattr(self, n)})
