"""The blocks between InteractionsGen and what follows: Parquet files that TFX reads as Examples.

TFX wants a list of values for each feature of an example, also where there is always one.
"""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from adarec_tf.data.log.encoded import LOG_SCHEMA
from adarec_tf.data.log.interactions import EVENT_FIELD

_SCHEMA = LOG_SCHEMA.append(EVENT_FIELD)
_EVENT_PATH = f"{EVENT_FIELD.name}.list.item"
_ENDING = ".parquet"


def write_block(path: str, block: pa.Table) -> None:
    """Writes a block of a log (`LOG_SCHEMA`, and maybe `EVENT_FIELD`) to a path in `.parquet`."""
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
    """Reads some columns of a block, by default those of `LOG_SCHEMA`, with the types of there.

    Event types have that of `EVENT_FIELD`.
    """
    names = LOG_SCHEMA.names if columns is None else columns
    with tf.io.gfile.GFile(path, "rb") as file:
        features = pa.parquet.read_table(
            pa.BufferReader(file.read()), columns=names, read_dictionary=[_EVENT_PATH]
        )
    schema = pa.schema([_SCHEMA.field(name) for name in names])
    values = [
        pa.chunked_array(
            [chunk.flatten().cast(field.type) for chunk in features[field.name].chunks], field.type
        )
        for field in schema
    ]
    return pa.table(values, schema=schema)


def _to_feature(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as bytes, as in an example."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return column.cast(pa.binary()) if pa.types.is_string(column.type) else column


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
