"""The blocks between InteractionsGen and what follows: Parquet files that TFX reads as Examples.

TFX wants a list of values for each feature of an example, also where there is always one.
"""

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import tensorflow as tf

from adarec_tf.data.log.encoded import LOG_SCHEMA
from adarec_tf.data.log.interactions import EVENT_FIELD

_SCHEMA = LOG_SCHEMA.append(EVENT_FIELD)
_EVENT_PATH = f"{EVENT_FIELD.name}.list.item"
_ENDING = ".parquet"


def write_block(path: str, block: pa.Table) -> None:
    """Writes a block of a log.

    Args:
      path: of the file, in `.parquet`.
      block: `LOG_SCHEMA`, and maybe `EVENT_FIELD`.
    """
    row_splits = pa.array(np.arange(len(block) + 1), pa.int32())
    features = [
        pa.ListArray.from_arrays(row_splits, _to_feature(column).combine_chunks())
        for column in block.columns
    ]
    sink = pa.BufferOutputStream()
    # Dictionaries of columns with nearly a value a row cost more time than they save bytes.
    pa.parquet.write_table(
        pa.table(features, names=block.column_names),
        sink,
        compression="zstd",
        use_dictionary=[_EVENT_PATH],
    )
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(sink.getvalue().to_pybytes())


def read_block(path: str, columns: list[str] | None = None) -> pa.Table:
    """Reads a block, with the types of `LOG_SCHEMA` and `EVENT_FIELD`.

    Args:
      path: of the file.
      columns: which ones; those of `LOG_SCHEMA` if None.
    """
    names = LOG_SCHEMA.names if columns is None else columns
    with tf.io.gfile.GFile(path, "rb") as file:
        features = pa.parquet.read_table(
            pa.BufferReader(file.read()), columns=names, read_dictionary=[_EVENT_PATH]
        )
    schema = pa.schema([_SCHEMA.field(name) for name in names])
    values = [pc.list_flatten(features[field.name]).cast(field.type) for field in schema]
    return pa.table(values, schema=schema)


def _to_feature(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as bytes, as in an example."""
    is_text = pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)
    return column.cast(pa.string()).cast(pa.binary()) if is_text else column


def list_blocks(folder: str) -> list[str]:
    """The files of a folder, in the order of the log."""
    return sorted(tf.io.gfile.glob(os.path.join(folder, f"*{_ENDING}")))


def count_rows(files: list[str]) -> int:
    """How many interactions there are in these files."""
    total = 0
    for path in files:
        with tf.io.gfile.GFile(path, "rb") as file:
            total += pa.parquet.ParquetFile(pa.BufferReader(file.read())).metadata.num_rows
    return total
