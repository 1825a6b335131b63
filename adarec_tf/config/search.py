"""How a student's architecture is searched."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from adarec_tf.config.base import (
    JsonConfig,
    check,
    check_choice,
    check_fraction,
    check_non_negative_integer,
    check_non_negative_number,
    check_positive_integer,
    check_positive_number,
)
from adarec_tf.config.training import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class SearchConfig(JsonConfig):
    """The search: weights on one half of the training users, alphas on the other."""

    # `bilevel`, or a baseline of equal budget: a supernet trained on both halves by architectures
    # drawn at random, and a student chosen by `random` search or by `evolution`.
    method: str = "bilevel"
    alphas: str = "shared"  # by all cells (paper), or `per_cell`
    # What a step computes: one operation an edge, `sampled`, or the `mixture` of all ten (DARTS).
    execution: str = "sampled"
    # The fewest cells of a student; the most are `student.num_cells`. 0 does not search the depth:
    # all students have all cells.
    min_cells: int = 0
    # Widths, each searched by itself under the same budgets; the best on validation is taken.
    # Empty: `student.hidden_dim` alone.
    hidden_dims: tuple[int, ...] = ()
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
    # Of the alphas' gradient: 1 takes the weights as they are, 2 goes through one step of theirs.
    order: int = 1
    # Of the alphas' loss: through the `gate` of each drawn operation (GDAS), or from the `score`s
    # of `num_compared` architectures tried on one batch, without a bias and without their backward
    # passes.
    alpha_gradient: str = "score"
    num_compared: int = 4
    gumbel_temperature: float = 1.0
    # The alphas are multiplied by it before the softmax, from their first epoch to the last: a
    # rising scale ends an exploring search with sharp choices.
    alphas_scale_start: float = 1.0
    alphas_scale_end: float = 1.0
    cost_weight: float = 0.05  # β, on a cost in units of the teacher's encoder
    # Of the cost; parameters and MACs share the rest. Latency varies from one measurement to the
    # next: equal seeds find equal genotypes if `cost_table` names the one to go by.
    cost_latency_share: float = 0.0
    cost_table: str = ""  # a file that `adarec profile` wrote; without it costs are measured anew
    # Budgets that the student keeps; 0 is none. Shares are of the teacher's. Latency is that of a
    # request with one history of `max_length` items, as predicted; multiply-adds are the encoder's.
    latency_budget_ms: float = 0.0
    max_latency_share: float = 0.0
    max_macs: int = 0
    max_macs_share: float = 0.0
    max_parameters: int = 0
    max_parameters_share: float = 0.0
    max_bytes: int = 0  # of the weights served, the item table's included
    # Of the expected overrun of each budget, in the loss of the alphas: nats, where 1 is what the
    # operations of an undecided architecture cost.
    budget_weight: float = 1.0
    validation_users: int = 4096  # that rank candidates; all of them where there are fewer
    num_candidates: int = 4  # sampled architectures ranked on validation beside the argmax
    # Further architectures validated with the supernet's weights when the search ends: bred from
    # the candidates, or drawn if the method is `random`.
    num_evaluations: int = 0
    # Students of a front, beside the one that is found: 0 makes none. Each is the best within its
    # own budget of `front_quantity`, a name of `Cost`; there are fewer where one beats another.
    front_size: int = 0
    front_quantity: str = "latency_ms"
    # A genotype's file, or a student of a front as FILE:NUMBER, taken in place of a search; of the
    # other settings only the budgets count then.
    genotype: str = ""

    METHODS: ClassVar[tuple[str, ...]] = ("bilevel", "random", "evolution")
    EXECUTIONS: ClassVar[tuple[str, ...]] = ("sampled", "mixture")
    ALPHA_GRADIENTS: ClassVar[tuple[str, ...]] = ("gate", "score")
    ALPHAS: ClassVar[tuple[str, ...]] = ("shared", "per_cell")
    FRONT_QUANTITIES: ClassVar[tuple[str, ...]] = (
        "latency_ms",
        "macs",
        "served_bytes",
        "parameters",
    )

    def __post_init__(self) -> None:
        check_choice(self, "method", self.METHODS)
        check_choice(self, "alphas", self.ALPHAS)
        check_choice(self, "execution", self.EXECUTIONS)
        check(
            self.execution == "sampled" or self.method == "bilevel",
            "execution",
            f"sampled with method={self.method}, which draws one architecture a step",
            self.execution,
        )
        check_choice(self, "alpha_gradient", self.ALPHA_GRADIENTS)
        check(
            self.alpha_gradient == "gate" or (self.execution == "sampled" and self.order == 1),
            "alpha_gradient",
            f"gate with execution={self.execution} and order={self.order}",
            self.alpha_gradient,
        )
        check_non_negative_integer(self, "min_cells")
        check(
            self.min_cells == 0 or self.alpha_gradient == "score",
            "min_cells",
            f"0 with alpha_gradient={self.alpha_gradient}: a depth is drawn, and has no gate",
            self.min_cells,
        )
        widths = self.hidden_dims
        check(
            all(type(width) is int and width > 0 for width in widths)
            and len(set(widths)) == len(widths) != 1,
            "hidden_dims",
            "empty, or two or more different positive integers",
            widths,
        )
        check(
            not (widths and self.cost_table),
            *("cost_table", "empty with hidden_dims: a table is of one width", self.cost_table),
        )
        check_positive_integer(
            self, "max_epochs", "patience", "positions_per_batch", "validation_users"
        )
        check(
            type(self.num_compared) is int and self.num_compared > 1,
            "num_compared",
            "2 or more: an architecture is compared with the others",
            self.num_compared,
        )
        check_non_negative_number(
            self,
            *("weight_decay", "cost_weight", "budget_weight", "latency_budget_ms"),
            *("max_latency_share", "max_macs_share", "max_parameters_share"),
        )
        check_non_negative_integer(
            self,
            *("warmup_epochs", "num_candidates", "num_evaluations"),
            *("max_macs", "max_parameters", "max_bytes"),
        )
        check(
            type(self.front_size) is int and self.front_size >= 0 and self.front_size != 1,
            "front_size",
            "0, or 2 or more: one student is no front",
            self.front_size,
        )
        check_choice(self, "front_quantity", self.FRONT_QUANTITIES)
        check(
            self.method != "evolution" or self.num_evaluations > 0,
            "num_evaluations",
            "positive with method=evolution, which spends them",
            self.num_evaluations,
        )
        check(
            self.warmup_epochs < self.max_epochs,
            "warmup_epochs",
            f"less than max_epochs={self.max_epochs}, so that the alphas are trained at all",
            self.warmup_epochs,
        )
        check_positive_number(
            self, "learning_rate", "alpha_learning_rate", "clip_norm", "gumbel_temperature"
        )
        check_positive_number(self, "alphas_scale_start", "alphas_scale_end")
        check(type(self.order) is int and self.order in (1, 2), "order", "1 or 2", self.order)
        check_fraction(self, "cost_latency_share", "warmup_share")

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
        names = [item.name for item in dataclasses.fields(TrainingConfig)]
        return TrainingConfig(**{n: getattr(self, n) for n in names if hasattr(self, n)})
