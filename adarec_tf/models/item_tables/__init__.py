"""The item table in three formats: most bytes of a small student are in it."""

from adarec_tf.models.item_tables.int4 import Int4Table
from adarec_tf.models.item_tables.int8 import Int8Table
from adarec_tf.models.item_tables.table import ItemTable, TableReader, TableSize

__all__ = ["ITEM_TABLES", "ItemTable", "TableReader", "TableSize", "create_item_table"]

ITEM_TABLES: dict[str, type[ItemTable]] = {
    "float32": ItemTable,
    "int8": Int8Table,
    "int4": Int4Table,
}


def create_item_table(table_format: str, size: TableSize) -> ItemTable:
    """The table of a format; its variable is created by `build`.

    Args:
      table_format: a key of `ITEM_TABLES`.
      size: of the matrix it stands for.

    Raises:
      ValueError: there is no such format.
    """
    if table_format not in ITEM_TABLES:
        raise ValueError(
            f"An item table should be one of {', '.join(ITEM_TABLES)}. Received: {table_format!r}."
        )
    return ITEM_TABLES[table_format](size)
