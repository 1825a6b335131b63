"""The frame of the student: what the genotype does not decide."""

from dataclasses import dataclass, field
from typing import ClassVar

from adarec_tf.config.base import (
    JsonConfig,
    check,
    check_choice,
    check_positive_integer,
    check_share_below_one,
)
from adarec_tf.config.item_table import ItemTableConfig


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
