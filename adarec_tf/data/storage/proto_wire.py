"""Byte strings of many rows in flat arrays, and the wire format of protocol buffers on top of them.

Nothing here is a Python object a row: a column of byte strings is two arrays, and a message of each
row is put together from columns of parts.

Reference:
  https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa


class RaggedBytes(NamedTuple):
    """A byte string a row.

    Attributes:
      data: uint8, the strings one after the other.
      lengths: int64 [N], of each.
    """

    data: np.ndarray
    lengths: np.ndarray


# Columns that lie side by side: row r is the row r of the first, then that of the second, ...
Columns = tuple[RaggedBytes, ...]


def of_text(keys: pa.Array) -> RaggedBytes:
    """The bytes of a string or binary array [N] without missing values."""
    _, offsets, data = keys.buffers()
    if len(keys) == 0:
        return RaggedBytes(np.zeros(0, np.uint8), np.zeros(0, np.int64))
    ends = np.frombuffer(offsets, np.int32)[keys.offset : keys.offset + len(keys) + 1]
    flat = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    return RaggedBytes(flat, np.diff(ends).astype(np.int64))


def repeat(data: bytes, num_rows: int) -> RaggedBytes:
    """The same bytes in every row."""
    flat = np.tile(np.frombuffer(data, np.uint8), num_rows)
    return RaggedBytes(flat, np.full(num_rows, len(data)))


def row_lengths(columns: Columns) -> np.ndarray:
    """int64 [N], bytes of each row of all columns."""
    return np.sum([column.lengths for column in columns], axis=0)


def join(columns: Columns) -> RaggedBytes:
    """The columns as one."""
    lengths = row_lengths(columns)
    joined = np.empty(lengths.sum(), np.uint8)
    starts = np.cumsum(lengths) - lengths
    for data, part_lengths in columns:
        shifts = starts - (np.cumsum(part_lengths) - part_lengths)
        joined[np.repeat(shifts, part_lengths) + np.arange(len(data))] = data
        starts = starts + part_lengths
    return RaggedBytes(joined, lengths)


def varints(values: np.ndarray) -> RaggedBytes:
    """Non-negative integers (int64 [N]) in the variable-length format: 7 bits a byte, low first."""
    widths = np.ones(len(values), np.int64)
    for bits in range(7, 64, 7):
        is_wider = values >= 1 << bits
        if not is_wider.any():
            break
        widths += is_wider
    data = np.empty(widths.sum(), np.uint8)
    starts = np.cumsum(widths) - widths
    for place in range(widths.max(initial=0)):
        has_byte = widths > place
        byte = (values[has_byte] >> (7 * place)) & 0x7F
        data[starts[has_byte] + place] = byte | ((widths[has_byte] > place + 1) << 7)
    return RaggedBytes(data, widths)


def packed_varints(values: np.ndarray, row_splits: np.ndarray) -> RaggedBytes:
    """Some integers a row: row r has those of `values[row_splits[r]:row_splits[r + 1]]`."""
    data, widths = varints(values)
    ends = np.concatenate([[0], np.cumsum(widths)])
    return RaggedBytes(data, np.diff(ends[row_splits]))


def field(number: int, content: Columns) -> Columns:
    """A length-delimited field (text, packed numbers or a message) of each row."""
    lengths = row_lengths(content)
    tag = bytes([number << 3 | 2])
    return (repeat(tag, len(lengths)), varints(lengths), *content)


def message(fields: Sequence[Columns]) -> Columns:
    """A message of several fields, in this order."""
    return tuple(column for columns in fields for column in columns)
