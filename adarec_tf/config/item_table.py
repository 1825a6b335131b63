"""The config of the item table's format."""

from dataclasses import dataclass
from typing import ClassVar

from adarec_tf.config.base import JsonConfig, check, check_choice, check_positive_integer


@dataclass(frozen=True, kw_only=True)
class ItemTableConfig(JsonConfig):
    """How the student keeps its item table, nearly all of its bytes; the paper's is `float32`."""

    # `low_rank`, a product of two thin matrices; `product_codes`, codes of shared vectors (RecJPQ);
    # `int8` and `int4`, bytes or half bytes with a scale a row.
    format: str = "float32"
    rank: int = 16  # of `low_rank`
    num_codes: int = 8  # of an item in `product_codes`, a byte each
    codebook_size: int = 256  # vectors that a code chooses from

    FORMATS: ClassVar[tuple[str, ...]] = ("float32", "low_rank", "product_codes", "int8", "int4")

    def __post_init__(self) -> None:
        check_choice(self, "format", self.FORMATS)
        check_positive_integer(self, "rank", "num_codes", "codebook_size")
        check(self.codebook_size <= 256, "codebook_size", "at most 256", self.codebook_size)


FLOAT32_TABLE = ItemTableConfig()
