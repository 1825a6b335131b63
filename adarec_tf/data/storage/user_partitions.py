"""The interactions of a partition of the users, brought into the order of histories.

A partition that fits is sorted as it is. One that does not, because a user has more events than all
others together, is cut once more, by ranges of user and time: the ranges follow each other in the
order of the result, so sorting one after the other sorts the whole.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.data.log.encoded import CODED_SCHEMA, distinct_keys, order_by_time
from adarec_tf.data.storage.arrow_files import (
    PartRef,
    read_part,
    read_parts,
    write_parts,
    write_tables,
)

# Few shards for few rows; the stored scenes have these eight.
_MIN_PARTITIONS = 8
_ROWS_PER_PARTITION = 1 << 20
# Rows of a result are read again in chunks of so many.
_CHUNK_ROWS = 1 << 18


class Partition(NamedTuple):
    """Some users' interactions in the order of histories, on disk.

    Attributes:
      number: of the partition, from 0.
      keys: the table of the users' keys (`user_id`, string [U]), in the order of their bytes.
      chunks: `ORDERED_SCHEMA`, one after the other.
      removed: how many rows are gone, by reason.
    """

    number: int
    keys: PartRef
    chunks: tuple[PartRef, ...]
    removed: dict[str, int]

    @property
    def num_users(self) -> int:
        """U."""
        return self.keys.num_rows


class _Ranges(NamedTuple):
    """Ranges of user and time, in order.

    Attributes:
      first: int64 [U], the range in which each user begins.
      cuts: user code to the times at which its second, third, ... range begins.
    """

    first: np.ndarray
    cuts: dict[int, np.ndarray]

    @property
    def num_ranges(self) -> int:
        """How many there are."""
        last = len(self.first) - 1
        return int(self.first[last]) + len(self.cuts.get(last, ())) + 1 if last >= 0 else 0


def count_partitions(num_rows: int) -> int:
    """Into how many partitions a log of so many rows is cut: a function of the log alone."""
    return max(_MIN_PARTITIONS, -(-num_rows // _ROWS_PER_PARTITION))


def sort_partition(number: int, blocks: Iterable[PartRef], folder: str, max_rows: int) -> Partition:
    """Brings a partition into the order of histories.

    Args:
      number: of the partition.
      blocks: parts with `CODED_SCHEMA`, all of them with weights or none, in any order.
      folder: gets the result, and for a while what does not fit.
      max_rows: how many rows to hold at once, about. Interactions of one user at one time always
        stay together.
    """
    # In one order: what is written must not depend on how a runner grouped.
    blocks = sorted(block for block in blocks if block.num_rows)
    name = os.path.join(folder, f"partition-{number:05d}")
    user_keys = distinct_keys(part["user_id"].combine_chunks() for part in read_parts(blocks))
    [keys] = write_tables(f"{name}-users", [pa.table({"user_id": user_keys})])
    if sum(block.num_rows for block in blocks) <= max_rows:
        ranges = [blocks]
    else:
        ranges = _cut_again(blocks, user_keys, name, max_rows)
    removed: list[int] = []

    def tables() -> Iterator[pa.Table]:
        for parts in ranges:
            block = pa.concat_tables(list(read_parts(parts)) or [CODED_SCHEMA.empty_table()])
            interactions, num_duplicates = order_by_time(block, user_keys)
            removed.append(num_duplicates)
            yield interactions

    parts = write_tables(f"{name}-ordered", cut_chunks(tables()))
    return Partition(number, keys, tuple(parts), {"duplicate_interactions": sum(removed)})


def cut_chunks(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cuts tables into the chunks of a partition; an empty table has none."""
    for table in tables:
        for start in range(0, len(table), _CHUNK_ROWS):
            yield table.slice(start, _CHUNK_ROWS)


def read_whole_users(chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cuts ordered interactions anew, so that no user is in two of the tables.

    Args:
      chunks: `ORDERED_SCHEMA`, one after the other.

    Yields:
      Tables as long as the chunks; longer where one user is.
    """
    held: list[pa.Table] = []
    for chunk in chunks:
        users = chunk["user"].to_numpy()
        # The last user may go on in the next chunk.
        end = int(np.searchsorted(users, users[-1])) if len(users) else 0
        if end or (held and len(users) and held[-1]["user"][-1].as_py() != users[0]):
            yield pa.concat_tables([*held, chunk.slice(0, end)])
            held = []
        if end < len(chunk):
            held.append(chunk.slice(end))
    if held:
        yield pa.concat_tables(held)


def _cut_again(
    blocks: Sequence[PartRef], user_keys: pa.Array, name: str, max_rows: int
) -> list[list[PartRef]]:
    """The parts of each range, each of `max_rows` rows, about."""
    ranges = _find_ranges(blocks, user_keys, max_rows)
    parts_of_blocks = []
    for number, block in enumerate(blocks):
        part = read_part(block)
        users, times = _codes(part, user_keys), part["timestamp"].to_numpy()
        numbers = ranges.first[users]
        for user, cuts in ranges.cuts.items():
            rows = users == user
            numbers[rows] += np.searchsorted(cuts, times[rows], side="right")
        path = f"{name}-ranges-{number:05d}"
        parts_of_blocks.append(write_parts(path, part, numbers, ranges.num_ranges))
    return [list(parts) for parts in zip(*parts_of_blocks, strict=True)]


def _find_ranges(blocks: Sequence[PartRef], user_keys: pa.Array, max_rows: int) -> _Ranges:
    counts = np.zeros(len(user_keys), np.int64)
    for part in read_parts(blocks):
        counts += np.bincount(_codes(part, user_keys), minlength=len(user_keys))
    cuts = {
        int(user): _time_cuts(blocks, user_keys[user], int(counts[user]), max_rows)
        for user in np.flatnonzero(counts > max_rows)
    }
    first, number, num_rows = np.empty(len(counts), np.int64), -1, max_rows
    for user, count in enumerate(counts.tolist()):
        if num_rows + count > max_rows:
            number, num_rows = number + 1, 0
        first[user] = number
        num_rows += count
        if user in cuts:
            number, num_rows = number + len(cuts[user]), max_rows
    return _Ranges(first, cuts)


def _time_cuts(
    blocks: Sequence[PartRef], user_key: pa.Scalar, count: int, max_rows: int
) -> np.ndarray:
    """int64, distinct: the times that cut a user's interactions into ranges of half of `max_rows`.

    They come from a sample, as its quantiles; a user's every 16th time or so is enough.
    """
    step = max(1, min(16, max_rows // 64))
    samples = []
    for part in read_parts(blocks):
        times = part.filter(pc.equal(part["user_id"], user_key))["timestamp"].to_numpy()
        samples.append(np.sort(times)[::step])
    sample = np.sort(np.concatenate(samples))
    num_ranges = -(-2 * count // max_rows)
    places = np.arange(1, num_ranges) * len(sample) // num_ranges
    return np.unique(sample[places])


def _codes(part: pa.Table, user_keys: pa.Array) -> np.ndarray:
    return pc.index_in(part["user_id"], user_keys).to_numpy()
