"""Tables in files of a worker's own, part by part: how data moves between steps of a preprocessor.

A runner's own shuffle holds what it groups in memory, or moves it row by row. Here the rows lie in
files that all workers see, and what is grouped and passed on are references of a few bytes: a
worker holds the parts that it reads, whatever the size of the log.

A file is a row of Arrow IPC streams (LZ4), one a part; a `PartRef` says where one lies. Equal
tables are equal files, so that a reference holds when another worker has written a file anew.
"""

import os
from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.ipc
import tensorflow as tf

from adarec_tf.data.storage.atomic_file import written_whole

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class PartRef(NamedTuple):
    """Where a part of a file lies.

    Attributes:
      path: the file.
      offset: of its first byte.
      num_bytes: how many bytes it has.
      num_rows: how many rows.
    """

    path: str
    offset: int
    num_bytes: int
    num_rows: int


def write_tables(path: str, tables: Iterable[pa.Table]) -> list[PartRef]:
    """Writes tables, one after the other, as the parts of a file.

    Args:
      path: of the file, which appears when it is complete.
      tables: of any schemas.
    """
    refs, offset = [], 0
    with (
        written_whole(path, os.path.dirname(path)) as part,
        tf.io.gfile.GFile(part, "wb") as file,
    ):
        file.write(b"")  # opens it: there may be no tables
        for table in tables:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
                writer.write_table(table)
            data = sink.getvalue()
            file.write(data.to_pybytes())
            refs.append(PartRef(path, offset, data.size, len(table)))
            offset += data.size
    return refs


def read_part(ref: PartRef) -> pa.Table:
    """Reads a part."""
    with tf.io.gfile.GFile(ref.path, "rb") as file:
        file.seek(ref.offset)
        data = file.read(ref.num_bytes)
    return pa.ipc.open_stream(data).read_all()


def read_column(ref: PartRef) -> pa.Array:
    """Reads a part that is one column."""
    return read_part(ref).column(0).combine_chunks()
