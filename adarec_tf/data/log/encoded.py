"""A log in small numbers: items by their place among all item keys, users by theirs in a partition.

A block of a log comes as `LOG_SCHEMA`; `arrival` is the row's place in the log and decides ties in
time. `encode_items` codes its items, `cut_by_user` cuts it into the partitions of the users,
`encode_users` codes those, and `order_by_time` makes it `ORDERED_SCHEMA`, in the order of histories
and without duplicates. Where events have weights, `WEIGHT_FIELD` is the last column throughout.

Keys are always distinct and in the order of their UTF-8 bytes, so that a code orders as its key.
"""

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.data.log.interactions import INTERACTION_SCHEMA

LOG_SCHEMA = INTERACTION_SCHEMA.append(pa.field("arrival", pa.int64()))
# The rank of the event's weight: the higher, the heavier.
WEIGHT_FIELD = pa.field("weight", pa.int16())
ORDERED_SCHEMA = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("timestamp", pa.int64())])
# Few shards for few rows; the stored scenes have these eight.
_MIN_PARTITIONS = 8
_ROWS_PER_PARTITION = 1 << 20


def count_partitions(num_rows: int) -> int:
    """Into how many partitions a log of so many rows is cut: a function of the log alone."""
    return max(_MIN_PARTITIONS, -(-num_rows // _ROWS_PER_PARTITION))


def partition_users(user_ids: pa.Array, num_partitions: int) -> np.ndarray:
    """The partition of each user: a hash of the key, stable over processes and versions.

    Args:
      user_ids: string [N].
      num_partitions: P.

    Returns:
      int64 [N], in 0..P-1.
    """
    users = user_ids.dictionary_encode()
    keys = users.dictionary.cast(pa.binary()).to_numpy(zero_copy_only=False)
    hashes = np.fromiter(map(zlib.crc32, keys), np.int64, len(keys))
    return hashes[users.indices.to_numpy()] % num_partitions


def cut_by_user(block: pa.Table, num_partitions: int) -> Iterator[pa.Table]:
    """Cuts rows into the partitions of their users; those of a partition stay in their order.

    Args:
      block: any table with the column `user_id`.
      num_partitions: P.

    Yields:
      P tables, also those without rows.
    """
    numbers = partition_users(block["user_id"].combine_chunks(), num_partitions)
    # NumPy sorts 16 bits in linear time.
    kind = np.uint16 if num_partitions <= 1 << 16 else np.int64
    ordered = block.take(np.argsort(numbers.astype(kind), kind="stable"))
    lengths = np.bincount(numbers, minlength=num_partitions)
    for stop, length in zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True):
        yield ordered.slice(stop - length, length)


def distinct_keys(parts: Iterable[pa.Array]) -> pa.Array:
    """The distinct keys of all parts (string [N] each), in the order of their UTF-8 bytes."""
    keys = pc.unique(pa.chunked_array([pc.unique(part) for part in parts], pa.string()))
    return keys.take(pc.sort_indices(keys))


def encode_items(block: pa.Table, item_keys: pa.Array) -> pa.Table:
    """Replaces the items of `LOG_SCHEMA` by `item`, their codes.

    Args:
      block: of a log, maybe with weights.
      item_keys: string [V], with every item of the block.
    """
    items = pc.index_in(block["item_id"], item_keys)
    return block.set_column(1, ORDERED_SCHEMA.field("item"), items)


def encode_users(block: pa.Table, user_keys: pa.Array) -> pa.Table:
    """Replaces the users by `user`, their codes.

    Args:
      block: of `encode_items`.
      user_keys: string [U], with every user of the block.
    """
    users = pc.index_in(block["user_id"], user_keys)
    return block.set_column(0, ORDERED_SCHEMA.field("user"), users)


def order_by_time(block: pa.Table) -> pa.Table:
    """Orders by user, time, arrival; of rows that repeat user, item and time the first stays.

    With weights the heaviest stays, the first of those that weigh the same.

    Args:
      block: of `encode_users`: all interactions of these users at these times.

    Returns:
      `ORDERED_SCHEMA`, with weights if they came with some.
    """
    order = np.lexsort([block[name].to_numpy() for name in ("arrival", "timestamp", "user")])
    block = block.drop(["arrival"])
    columns = [column.to_numpy()[order] for column in block.columns]
    is_kept = ~_repeats(*columns)
    return pa.table([column[is_kept] for column in columns], schema=block.schema)


def _repeats(
    users: np.ndarray, items: np.ndarray, times: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Whether (bool [N]) another row of the same user, item and time comes first, or is heavier."""
    is_repeat = np.zeros(len(users), bool)
    is_tied = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    # Ties are few in most logs, and only they need the sort by item.
    rows = np.flatnonzero(np.append(is_tied, False) | np.append(False, is_tied))
    moments = np.cumsum(np.append(False, ~is_tied))[rows]
    keys = (items[rows], moments) if weights is None else (-weights[rows], items[rows], moments)
    order = np.lexsort(keys)
    rows, moments = rows[order], moments[order]
    same = (moments[1:] == moments[:-1]) & (items[rows[1:]] == items[rows[:-1]])
    is_repeat[rows[1:][same]] = True
    return is_repeat
