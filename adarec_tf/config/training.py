"""How a teacher is trained."""

from dataclasses import dataclass
from typing import ClassVar

from adarec_tf.config.base import (
    JsonConfig,
    check,
    check_choice,
    check_fraction,
    check_non_negative_number,
    check_positive_integer,
    check_positive_number,
)


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
    # `softmax` over the catalog; `sampled_softmax` (with logQ correction) or `gbce` over a sample
    # of it, for catalogs of a size where the logits of every item cost most of a step.
    loss: str = "softmax"
    num_negatives: int = 1024  # of a sampled loss, shared by the positions of a batch
    gbce_calibration: float = 0.75  # t of gBCE: 0 is plain BCE, 1 as calibrated as softmax
    compute_dtype: str = "float32"  # of the catalog logits: `bfloat16` where the CPU has it
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
