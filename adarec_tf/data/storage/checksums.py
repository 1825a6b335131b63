"""Cyclic redundancy checks of many byte strings at once: CRC-32 (of keys), CRC-32C (of TFRecords).

A table a byte is the classic way for one string; here a step is taken in all strings together. A
long string is a row of blocks that go through as strings of their own, and are joined at the end:
what comes before a block counts as if moved on by a block of zeros, since a CRC is linear.
"""

from functools import cache

import numpy as np

from adarec_tf.data.storage.proto_wire import RaggedBytes

# The polynomials, lowest bit first.
_CRC32, _CRC32C = 0xEDB88320, 0x82F63B78
_BLOCK_BYTES = 1024
_ALL_ONES = np.uint32(0xFFFFFFFF)


def crc32(strings: RaggedBytes) -> np.ndarray:
    """The CRC-32 (uint32 [N]) of each string, as `zlib.crc32` gives it."""
    return _crc(strings, _CRC32)


def masked_crc32c(strings: RaggedBytes) -> np.ndarray:
    """The CRC-32C (uint32 [N]) of each string, masked as in TFRecord files.

    Reference:
      https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
    """
    crc = _crc(strings, _CRC32C)
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def _crc(strings: RaggedBytes, polynomial: int) -> np.ndarray:
    lengths = strings.lengths
    num_blocks = np.maximum(1, -(-lengths // _BLOCK_BYTES))
    first_block = np.cumsum(num_blocks) - num_blocks
    # All blocks are full but the first of a string: then all later ones move by the same length.
    sizes = np.full(num_blocks.sum(), _BLOCK_BYTES)
    sizes[first_block] = lengths - (num_blocks - 1) * _BLOCK_BYTES
    states = np.zeros(len(sizes), np.uint32)
    states[first_block] = _ALL_ONES
    states = _advance(states, strings.data, sizes, _byte_table(polynomial))
    joined = states[first_block]
    for place in range(1, num_blocks.max(initial=0)):
        rows = np.flatnonzero(num_blocks > place)
        joined[rows] = _move(joined[rows], polynomial) ^ states[first_block[rows] + place]
    return ~joined


def _advance(
    states: np.ndarray, data: np.ndarray, sizes: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """The states after the strings that lie one after the other in the data."""
    starts = np.cumsum(sizes) - sizes
    # Longest first: those that still have a byte at a position are the first so many.
    order = np.argsort(-sizes, kind="stable")
    starts, ascending, moving = starts[order], sizes[order][::-1], states[order]
    for position in range(sizes.max(initial=0)):
        num_active = len(order) - np.searchsorted(ascending, position, side="right")
        active = moving[:num_active]
        entry = (active ^ data[starts[:num_active] + position]) & 0xFF
        moving[:num_active] = table[entry] ^ (active >> 8)
    states = np.empty_like(moving)
    states[order] = moving
    return states


def _move(states: np.ndarray, polynomial: int) -> np.ndarray:
    """The states after a block of zeros: the sum of what each of their bytes becomes."""
    tables = _block_tables(polynomial)
    return np.bitwise_xor.reduce(
        [tables[place][(states >> np.uint32(8 * place)) & 0xFF] for place in range(4)]
    )


@cache
def _byte_table(polynomial: int) -> np.ndarray:
    """What a byte becomes, uint32 [256]."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, np.uint32(polynomial) ^ (table >> 1), table >> 1)
    return table


@cache
def _block_tables(polynomial: int) -> np.ndarray:
    """What each byte of a state becomes after a block of zeros, uint32 [4, 256]."""
    states = np.arange(256, dtype=np.uint32) << (8 * np.arange(4, dtype=np.uint32)[:, None])
    table = _byte_table(polynomial)
    for _ in range(_BLOCK_BYTES):
        states = table[states & 0xFF] ^ (states >> 8)
    return states
