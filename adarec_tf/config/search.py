"""How a student's architecture is searched."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from adarec_tf.config.base import Config, Share, Sizes, check
from adarec_tf.config.training import TrainingConfig


class SearchConfig(Config):
    """The search: weights on one half of the training users, alphas on the other."""

    method: Literal["bilevel", "random", "evolution"] = "bilevel"
    """`bilevel`, or a baseline of equal budget: a supernet trained on both halves by architectures
    drawn at random, and a student chosen by `random` search or by `evolution`."""
    alphas: Literal["shared", "per_cell"] = "shared"
    """Whether all cells share their alphas (paper)."""
    execution: Literal["sampled", "mixture"] = "sampled"
    """What a step computes: one operation an edge, or the mixture of all (DARTS)."""
    min_cells: NonNegativeInt = 0
    """Fewest cells of a student, at most `student.num_cells`; 0: all students have all cells."""
    hidden_dims: Sizes = ()
    """Widths, each searched by itself under the same budgets; the best on validation is taken.
    Empty: `student.hidden_dim` alone."""
    max_epochs: PositiveInt = 10
    """Epochs at most."""
    warmup_epochs: NonNegativeInt = 5
    """Epochs in which the weights are trained alone, so that operations without weights do not win
    against convolutions that have not been trained yet."""
    patience: PositiveInt = 2
    """Epochs with an unchanged genotype before the search stops."""
    positions_per_batch: PositiveInt = 1024
    """Positions of a batch, padding included."""
    learning_rate: PositiveFloat = 2e-3
    """Highest learning rate of the weights."""
    alpha_learning_rate: PositiveFloat = 3e-2
    """Learning rate of the alphas; the released code's 2e-5 leaves them where they began."""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's, for the weights."""
    warmup_share: Share = 0.05
    """Share of the steps in which the learning rate of the weights rises."""
    clip_norm: PositiveFloat = 5.0
    """Largest norm of a gradient."""
    order: Literal[1, 2] = 1
    """Order of the alphas' gradient: 1 takes the weights as they are, 2 goes through one step."""
    alpha_gradient: Literal["gate", "score"] = "score"
    """The alphas' gradient comes through the gate of each drawn operation (GDAS), or from the
    scores of `num_compared` architectures tried on one batch."""
    num_compared: Annotated[int, Field(ge=2)] = 4
    """Architectures that a step of the alphas compares, 2 or more."""
    gumbel_temperature: PositiveFloat = 1.0
    """Temperature of the gates."""
    alphas_scale_start: PositiveFloat = 1.0
    """Factor of the alphas before the softmax, in their first epoch."""
    alphas_scale_end: PositiveFloat = 1.0
    """Factor of the alphas before the softmax, in the last epoch."""
    cost_weight: NonNegativeFloat = 0.05
    """Weight β of the cost, in units of the teacher's encoder."""
    cost_latency_share: Share = 0.0
    """Share of latency in the cost; parameters and multiply-adds share the rest."""
    cost_table: str = ""
    """File that `adarec profile` wrote; empty: costs are measured anew."""
    latency_budget_ms: NonNegativeFloat = 0.0
    """Highest latency of a student, predicted, in milliseconds; 0: any."""
    max_latency_share: NonNegativeFloat = 0.0
    """Highest latency as a share of the teacher's; 0: any."""
    max_macs: NonNegativeInt = 0
    """Most multiply-adds of the encoder; 0: any number."""
    max_macs_share: NonNegativeFloat = 0.0
    """Most multiply-adds as a share of the teacher's; 0: any number."""
    max_parameters: NonNegativeInt = 0
    """Most parameters; 0: any number."""
    max_parameters_share: NonNegativeFloat = 0.0
    """Most parameters as a share of the teacher's; 0: any number."""
    max_bytes: NonNegativeInt = 0
    """Most bytes of the weights served, the item table's included; 0: any number."""
    budget_weight: NonNegativeFloat = 1.0
    """Weight of the expected overrun of each budget in the loss of the alphas, in nats."""
    validation_users: PositiveInt = 4096
    """Users that rank candidates; all of them where there are fewer."""
    num_candidates: NonNegativeInt = 4
    """Sampled architectures that are validated beside the most likely one."""
    num_evaluations: NonNegativeInt = 0
    """Further architectures validated when the search ends: bred from the candidates, or drawn if
    the method is `random`."""
    front_size: NonNegativeInt = 0
    """Students of a front, each the best within its own budget of `front_quantity`; 0: no front."""
    front_quantity: Literal["latency_ms", "macs", "served_bytes", "parameters"] = "latency_ms"
    """What the students of a front differ in."""
    genotype: str = ""
    """File of a genotype, or FILE:NUMBER of a front's student, taken in place of a search."""

    @model_validator(mode="after")
    def _check_alphas(self) -> Self:
        check(
            self.execution == "sampled" or self.method == "bilevel",
            "execution",
            f"sampled with method={self.method}, which draws one architecture a step",
            self.execution,
        )
        check(
            self.alpha_gradient == "gate" or (self.execution == "sampled" and self.order == 1),
            "alpha_gradient",
            f"gate with execution={self.execution} and order={self.order}",
            self.alpha_gradient,
        )
        check(
            self.min_cells == 0 or self.alpha_gradient == "score",
            "min_cells",
            f"0 with alpha_gradient={self.alpha_gradient}: a depth is drawn, and has no gate",
            self.min_cells,
        )
        check(
            self.warmup_epochs < self.max_epochs,
            "warmup_epochs",
            f"less than max_epochs={self.max_epochs}, so that the alphas are trained at all",
            self.warmup_epochs,
        )
        return self

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        widths = self.hidden_dims
        check(
            len(set(widths)) == len(widths) != 1,
            "hidden_dims",
            "empty, or two or more different widths",
            widths,
        )
        check(
            not (widths and self.cost_table),
            "cost_table",
            "empty with hidden_dims: a table is of one width",
            self.cost_table,
        )
        check(
            self.front_size != 1,
            "front_size",
            "0, or 2 or more: one student is no front",
            self.front_size,
        )
        check(
            self.method != "evolution" or self.num_evaluations > 0,
            "num_evaluations",
            "positive with method=evolution, which spends them",
            self.num_evaluations,
        )
        return self

    @property
    def reads_latency(self) -> bool:
        """Whether the search has to know the latency of students."""
        if max(self.latency_budget_ms, self.max_latency_share) > 0:
            return True
        is_of_front = self.front_size > 0 and self.front_quantity == "latency_ms"
        return not self.genotype and (self.cost_latency_share > 0 or is_of_front)

    def num_optional_cells(self, num_cells: int) -> int:
        """How many of `num_cells` cells a student may leave out, from the top.

        Raises:
          ValueError: there are fewer than `min_cells`.
        """
        check(
            self.min_cells <= num_cells,
            "search.min_cells",
            f"at most student.num_cells={num_cells}",
            self.min_cells,
        )
        return num_cells - self.min_cells if self.min_cells > 0 else 0

    def training(self) -> TrainingConfig:
        """The settings of the weights' optimizer alone."""
        names = TrainingConfig.model_fields
        return TrainingConfig(**{n: getattr(self, n) for n in names if hasattr(self, n)})
