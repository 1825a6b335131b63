"""The item table in several formats: most bytes of a small student are in it."""

from adarec_tf.config.item_table import ItemTableConfig
from adarec_tf.models.item_tables.float32 import Float32Table
from adarec_tf.models.item_tables.int4 import Int4Table
from adarec_tf.models.item_tables.int8 import Int8Table
from adarec_tf.models.item_tables.low_rank import LowRankTable
from adarec_tf.models.item_tables.product_codes import ProductCodesTable
from adarec_tf.models.item_tables.table import ItemTable, TableReader, TableSize

__all__ = ["ITEM_TABLES", "ItemTable", "TableReader", "TableSize", "create_item_table"]

ITEM_TABLES: dict[str, type[ItemTable]] = {
    "float32": Float32Table,
    "low_rank": LowRankTable,
    "product_codes": ProductCodesTable,
    "int8": Int8Table,
    "int4": Int4Table,
}


def create_item_table(config: ItemTableConfig, size: TableSize) -> ItemTable:
    """The table of a config's format; its variables are created by `build`."""
    return ITEM_TABLES[config.format](config, size)
