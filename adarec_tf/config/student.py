"""The frame of the student: what the genotype does not decide."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from adarec_tf.config.base import Config, ShareBelowOne


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
    precision: Literal["float32", "int8", "int4"] = "float32"
    """Number format of the item table, in training and in the bundle; a server unpacks it to
    float32 when it loads. Convolutions are float32 with float32, else int8."""

    @model_validator(mode="after")
    def _check_precision(self) -> Self:
        self.require(
            self.precision != "int4" or self.hidden_dim % 2 == 0,
            "hidden_dim",
            "even with precision=int4, two numbers a byte",
        )
        return self


def kernel_format(precision: str) -> str:
    """Number format of the convolutions of a student: half bytes would lose too much there.

    Examples:
        >>> kernel_format("int4")
        'int8'
    """
    return "float32" if precision == "float32" else "int8"
