"""How a student's architecture is searched."""

from pathlib import Path
from typing import Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from adarec_tf.config.base import Config, SettingError, Sizes
from adarec_tf.config.training import EpochsConfig


class SearchConfig(EpochsConfig):
    """The search: weights on one half of the training users, alphas on the other."""

    method: Literal["bilevel", "random", "evolution"] = "bilevel"
    """`bilevel`, or a baseline of equal budget: a supernet trained on both halves by architectures
    drawn at random, and a student chosen by `random` search or by `evolution`."""
    alphas: Literal["shared", "per_cell"] = "shared"
    """Whether all cells share their alphas (paper)."""
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
    cost_weight: NonNegativeFloat = 0.05
    """Weight β of the cost, in units of the teacher's encoder."""
    cost_table: str = ""
    """File that `adarec profile` wrote; empty: costs are measured anew."""
    latency_budget_ms: NonNegativeFloat = 0.0
    """Highest latency of a student, predicted, in milliseconds; 0: any."""
    max_macs: NonNegativeInt = 0
    """Most multiply-adds of the encoder; 0: any number."""
    max_parameters: NonNegativeInt = 0
    """Most parameters; 0: any number."""
    max_bytes: NonNegativeInt = 0
    """Most bytes of the weights in the bundle, the item table's included; 0: any number."""
    max_users: NonNegativeInt = 0
    """Users that the search sees, drawn at random; 0: all."""
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
    def _check(self) -> Self:
        widths = self.hidden_dims
        self.require(
            len(set(widths)) == len(widths) != 1,
            "hidden_dims",
            "empty, or two or more different widths",
        )
        self.require(
            not (widths and self.cost_table),
            "cost_table",
            "empty with hidden_dims: a table is of one width",
        )
        self.require(
            self.warmup_epochs < self.max_epochs,
            "warmup_epochs",
            f"less than max_epochs={self.max_epochs}, so that the alphas are trained at all",
        )
        self.require(self.front_size != 1, "front_size", "0, or 2 or more: one student is no front")
        self.require(
            self.method != "evolution" or self.num_evaluations > 0,
            "num_evaluations",
            "positive with method=evolution, which spends them",
        )
        return self

    @property
    def reads_latency(self) -> bool:
        """Whether the search has to know the latency of students."""
        has_front = self.front_size > 0 and not self.genotype
        return self.latency_budget_ms > 0 or (has_front and self.front_quantity == "latency_ms")

    def num_optional_cells(self, num_cells: int) -> int:
        """How many of `num_cells` cells a student may leave out, from the top.

        Raises:
          ValueError: there are fewer than `min_cells`.
        """
        if self.min_cells > num_cells:
            requirement = f"at most student.num_cells={num_cells}"
            raise SettingError("search.min_cells", requirement, self.min_cells)
        return num_cells - self.min_cells if self.min_cells > 0 else 0


class Budget(Config):
    """Upper bounds that a student has to keep; what is left out, or 0, is no bound.

    Raises:
      ValueError: a bound is negative.

    Examples:
        >>> Budget(latency_ms=1.0).settings()
        {'latency_budget_ms': 1.0, 'max_bytes': 0, 'max_macs': 0, 'max_parameters': 0}
    """

    latency_ms: NonNegativeFloat = 0.0
    """Highest latency of a request of one history in this process, in milliseconds."""
    bytes: NonNegativeInt = 0
    """Most bytes of the weights in the bundle, the item table's included."""
    macs: NonNegativeInt = 0
    """Most multiply-adds of the encoder for a history."""
    parameters: NonNegativeInt = 0
    """Most parameters."""

    def settings(self) -> dict[str, float]:
        """The fields of `SearchConfig` that say the same."""
        return {
            "latency_budget_ms": self.latency_ms,
            "max_bytes": self.bytes,
            "max_macs": self.macs,
            "max_parameters": self.parameters,
        }


def find_cost_table(given: str) -> Path:
    """The file that `search.cost_table` names.

    Raises:
      ValueError: it is not there.
    """
    if not Path(given).is_file():
        raise ValueError(
            f"`search.cost_table` should be a file that `adarec profile` wrote. Received: {given}."
        )
    return Path(given)


def find_genotype(given: str) -> tuple[Path, int]:
    """The file that `search.genotype` names, and the number behind it.

    Raises:
      ValueError: the file is not there.
    """
    path, number = split_number(given)
    if not Path(path).is_file():
        raise ValueError(f"`search.genotype` should be an existing file. Received: {given}.")
    return Path(path), number


def split_number(given: str) -> tuple[str, int]:
    """The path and the number of `FILE:NUMBER`, which is 0 where there is none.

    Examples:
        >>> split_number("front.json:2")
        ('front.json', 2)
        >>> split_number("genotype.json")
        ('genotype.json', 0)
    """
    path, _, number = given.rpartition(":")
    return (path, int(number)) if path and number.isdecimal() else (given, 0)
