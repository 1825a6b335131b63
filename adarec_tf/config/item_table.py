"""The config of the item table's format."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from adarec_tf.config.base import Config


class ItemTableConfig(Config):
    """How the student keeps its item table, nearly all of its bytes; the paper's is `float32`."""

    format: Literal["float32", "low_rank", "product_codes", "int8", "int4"] = "float32"
    """A product of two thin matrices; codes of shared vectors (RecJPQ); bytes or half bytes with a
    scale a row."""
    rank: PositiveInt = 16
    """Of `low_rank`."""
    num_codes: PositiveInt = 8
    """Codes of an item in `product_codes`, a byte each."""
    codebook_size: Annotated[int, Field(gt=0, le=256)] = 256
    """Vectors that a code chooses from."""


FLOAT32_TABLE = ItemTableConfig()
