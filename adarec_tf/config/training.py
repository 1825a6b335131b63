"""How a teacher is trained."""

from typing import Literal, Self

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from adarec_tf.config.base import Config, Share, check


class TrainingConfig(Config):
    """The fit loop of the teacher: AdamW, linear warm-up then cosine decay, early stopping."""

    max_epochs: PositiveInt = 30
    """Epochs at most."""
    patience: PositiveInt = 3
    """Epochs without a better validation NDCG@10 before the training stops."""
    positions_per_batch: PositiveInt = 1024
    """Positions of a batch, padding included, so that long histories cost no more."""
    learning_rate: PositiveFloat = 2e-3
    """Highest learning rate."""
    warmup_share: Share = 0.05
    """Share of all steps in which the learning rate rises."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's."""
    clip_norm: PositiveFloat = 5.0
    """Largest norm of a gradient."""
    label_smoothing: Share = 0.0
    """Of the full softmax."""
    loss: Literal["softmax", "sampled_softmax", "gbce"] = "softmax"
    """Over the whole catalog, or over a sample of it (with logQ correction, or gBCE), for catalogs
    where the logits of every item cost most of a step."""
    num_negatives: PositiveInt = 1024
    """Items of a sampled loss, shared by the positions of a batch."""
    gbce_calibration: Share = 0.75
    """t of gBCE: 0 is plain BCE, 1 as calibrated as softmax."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the catalog logits; bfloat16 where the CPU has it."""
    windows: Literal["last", "all"] = "last"
    """Of a history longer than a model sees: its last window, or all."""
    num_teachers: PositiveInt = 1
    """Teachers of equal architecture, from seeds of their own, that teach together; a student is
    compared with the first."""

    @model_validator(mode="after")
    def _check_smoothing(self) -> Self:
        check(
            self.label_smoothing == 0 or self.loss == "softmax",
            "label_smoothing",
            "0 with a sampled loss",
            self.label_smoothing,
        )
        return self
