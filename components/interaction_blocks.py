"""The blocks between InteractionsGen and what follows: Parquet files that TFX reads as Examples.

TFX wants a list of values for each feature of an example, also where there is always one.
"""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from adarec_tf.data.coded_log import LOG_SCHEMA

_ENDING = ".parquet"


def write_block(path: str, block: pa.Table) -> None:
    """Writes a block of a log (`LOG_SCHEMA`); the path ends in `.parquet`."""
    row_splits = pa.array(np.arange(len(block) + 1), pa.int32())
    features = [
        # Text is bytes in an example.
        pa.ListArray.from_arrays(
            row_splits, column.cast(pa.binary()) if pa.types.is_string(column.type) else column
        )
        for column in (column.combine_chunks() for column in block.columns)
    ]
    sink = pa.BufferOutputStream()
    # Dictionaries of columns with nearly a value a row cost more time than they save bytes.
    pa.parquet.write_table(
        pa.table(features, names=LOG_SCHEMA.names),
        sink,
        compression="zstd",
        use_dictionary=False,
    )
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(sink.getvalue().to_pybytes())


def read_block(path: str, columns: list[str] | None = None) -> pa.Table:
    """Reads a block, or some of its columns, with the types of `LOG_SCHEMA`."""
    with tf.io.gfile.GFile(path, "rb") as file:
        features = pa.parquet.read_table(pa.BufferReader(file.read()), columns=columns)
    names = LOG_SCHEMA.names if columns is None else columns
    values = [
        pa.chunked_array(
            [chunk.flatten().cast(LOG_SCHEMA.field(name).type) for chunk in features[name].chunks],
            LOG_SCHEMA.field(name).type,
        )
        for name in names
    ]
    return pa.table(values, names=names)


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
