"""CRC-32 of many keys at once."""

import numpy as np
import pyarrow as pa

from adarec_tf.data.ragged_bytes import of_text

_BYTES = np.arange(256, dtype=np.uint32)


def _make_table() -> np.ndarray:
    table = _BYTES.copy()
    for _ in range(8):
        table = np.where(table & 1, np.uint32(0xEDB88320) ^ (table >> 1), table >> 1)
    return table


_TABLE = _make_table()


def crc32(keys: pa.Array) -> np.ndarray:
    """The CRC-32 of each key's bytes, as `zlib.crc32` gives it.

    Args:
      keys: string or binary [N], none missing.

    Returns:
      uint32 [N].
    """
    data, lengths = of_text(keys)
    starts = np.cumsum(lengths) - lengths
    # Longest first: those that still have a byte at a position are the first so many.
    order = np.argsort(-lengths, kind="stable")
    starts, ascending = starts[order], lengths[order][::-1]
    state = np.full(len(order), 0xFFFFFFFF, np.uint32)
    for position in range(lengths.max(initial=0)):
        num_active = len(order) - np.searchsorted(ascending, position, side="right")
        active = state[:num_active]
        entry = (active ^ data[starts[:num_active] + position]) & 0xFF
        state[:num_active] = _TABLE[entry] ^ (active >> 8)
    hashes = np.empty_like(state)
    hashes[order] = ~state
    return hashes
