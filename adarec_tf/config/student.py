"""The frame of the student: what the genotype does not decide."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from adarec_tf.config.base import Config, ShareBelowOne, check
from adarec_tf.config.item_table import ItemTableConfig


class StudentConfig(Config):
    """The frame of the student: what the genotype does not decide."""

    hidden_dim: PositiveInt = 32
    """Width of the embeddings and of every layer."""
    num_cells: PositiveInt = 2
    """Cells, one above the other; the paper has 4."""
    num_nodes: Annotated[int, Field(ge=2)] = 3
    """Nodes of a cell, 2 or more: its norm would hide which operation feeds a lone node."""
    dropout: ShareBelowOne = 0.1
    """Share of the inputs of a layer that is dropped in training."""
    item_table: ItemTableConfig = ItemTableConfig()
    """Format of the item table."""
    kernel_format: Literal["float32", "int8"] = "float32"
    """Of the convolutions: `int8`, a byte a weight and a scale an output channel."""

    @model_validator(mode="after")
    def _check_item_table(self) -> Self:
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
        return self
