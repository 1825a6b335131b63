"""How weights are fitted, and what belongs to the teacher's training alone."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from adarec_tf.config.base import Config


class EpochsConfig(Config):
    """How weights are updated: AdamW, linear warm-up then cosine decay."""

    max_epochs: PositiveInt = 30
    """Epochs at most."""
    positions_per_batch: PositiveInt = 1024
    """Positions of a batch, padding included, so that long histories cost no more."""
    learning_rate: PositiveFloat = 2e-3
    """Highest learning rate of the weights."""


class FitConfig(EpochsConfig):
    """The fit loop, which stops early."""

    patience: PositiveInt = 3
    """Epochs without a better validation NDCG@10 before the training stops."""


class TrainingConfig(FitConfig):
    """The training of the teacher."""

    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of AdamW."""
    loss: Literal["softmax", "sampled_softmax", "gbce"] = "softmax"
    """Softmax over the catalog, or over a sample of it (with logQ correction, or as gBCE) for
    catalogs where the logits of every item cost most of a step."""
    initial_table: Literal["random", "co_occurrences"] = "random"
    """Where the item table begins: at random, or at vectors of which items are near each other in
    the histories, from which a training of few epochs gets much further in a large catalog."""
    num_teachers: PositiveInt = 1
    """Teachers of equal architecture and different seeds that teach together; a student is compared
    with the first."""
