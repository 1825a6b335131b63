"""What workers of the sequence preprocessor do up to the vocabulary: cut, order, filter, count.

Functions of references to files (`block_files`) in a scratch folder, for `beam.Map`.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories import global_time_split, session_time_split
from adarec_tf.data.histories.global_time_split import TimeCuts
from adarec_tf.data.histories.history_options import HistoryOptions, shape_partition
from adarec_tf.data.histories.k_core import UserPairs, is_kept, k_core_filter
from adarec_tf.data.histories.value_counts import ValueCounts, count_values, merge_counts
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log import encoded as encoded
from adarec_tf.data.log.events import EVENT_LOG_SCHEMA, EventOptions, select_events
from adarec_tf.data.storage import user_partitions
from adarec_tf.data.storage.arrow_files import (
    PartRef,
    read_part,
    read_parts,
    write_parts,
    write_tables,
)
from adarec_tf.data.storage.atomic_file import written_whole
from adarec_tf.data.storage.user_partitions import Partition
from components.artifacts import VOCABULARY_FILE
from components.interaction_blocks import read_block


class Kept(NamedTuple):
    """Which users and items stay.

    Attributes:
      users: by partition, the table `kept` (bool [U]).
      items: the table `kept` (bool [V]).
      removed: what went, by filter.
    """

    users: list[PartRef]
    items: PartRef
    removed: dict[str, int]


def item_keys_of(path: str) -> pa.Array:
    """The distinct item keys of a block."""
    return encoded.distinct_keys(read_block(path, ["item_id"])["item_id"].chunks)


def write_item_keys(keys: pa.Array, scratch: str) -> PartRef:
    """Keeps the item keys of the log, in the order of their codes."""
    [ref] = write_tables(os.path.join(scratch, "items"), [pa.table({"key": keys})])
    return ref


def cut_block(
    path: str, item_keys: PartRef, scratch: str, num_partitions: int, events: EventOptions
) -> Iterator[tuple[int, PartRef]]:
    """The part of each partition, also where it has no rows: every shard is written."""
    block = read_block(path, EVENT_LOG_SCHEMA.names if events.is_any_in_use else None)
    block = select_events(block, events) if events.is_any_in_use else block
    block = encoded.encode_items(block, read_keys(item_keys))
    users = block["user_id"].combine_chunks()
    parts = encoded.partition_users(users, num_partitions)
    name = os.path.join(scratch, os.path.basename(path))
    yield from enumerate(write_parts(name, block, parts, num_partitions))


def sort_partition(
    grouped: tuple[int, Iterable[PartRef]], scratch: str, max_rows: int, options: HistoryOptions
) -> Partition:
    """Orders the interactions of a partition, cuts sessions and takes repeats out."""
    number, blocks = grouped
    partition = user_partitions.sort_partition(number, blocks, scratch, max_rows)
    return shape_partition(partition, scratch, options) if options.is_any_in_use else partition


def find_kept(
    partitions: list[Partition], item_keys: PartRef, scratch: str, config: DataConfig
) -> Kept:
    """On one worker: pairs of codes are few bytes, and every round needs the one before."""

    def pairs(partition: Partition) -> UserPairs:
        def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for chunk in read_parts(partition.chunks):
                yield chunk["user"].to_numpy(), chunk["item"].to_numpy()

        return UserPairs(partition.num_users, blocks)

    core = k_core_filter(
        [pairs(partition) for partition in sorted(partitions)],
        item_keys.num_rows,
        min_user_interactions=config.min_user_interactions,
        min_item_interactions=config.min_item_interactions,
        rounds=config.k_core_rounds,
    )
    tables = [pa.table({"kept": mask}) for mask in (*core.users, core.items)]
    *users, items = write_tables(os.path.join(scratch, "kept"), tables)
    return Kept(users, items, core.removed)


def kept_chunks(partition: Partition, kept: Kept) -> Iterator[pa.Table]:
    """`ORDERED_SCHEMA`, a chunk at a time."""
    users, items = (
        read_part(ref)["kept"].to_numpy() for ref in (kept.users[partition.number], kept.items)
    )
    for chunk in read_parts(partition.chunks):
        mask = is_kept(chunk["user"].to_numpy(), chunk["item"].to_numpy(), users, items)
        yield chunk.filter(pa.array(mask))


def count_times(partition: Partition, kept: Kept) -> ValueCounts:
    """How often each time occurs among what stays, for the cuts of a split in time."""
    return merge_counts(
        count_values(chunk["timestamp"].to_numpy()) for chunk in kept_chunks(partition, kept)
    )


def count_items(
    partition: Partition, kept: Kept, cuts: TimeCuts | None, config: DataConfig
) -> ValueCounts:
    """Of the interactions that make the vocabulary: all, unless a cut hides the future."""
    chunks = kept_chunks(partition, kept)
    if cuts is not None and config.has_sessions:
        sessions = user_partitions.read_whole_users(chunks)
        chunks = (session_time_split.training_interactions(table, cuts) for table in sessions)
    elif cuts is not None:
        chunks = (global_time_split.training_interactions(chunk, cuts) for chunk in chunks)
    return merge_counts(count_values(chunk["item"].to_numpy()) for chunk in chunks)


def write_vocabulary(
    counts: ValueCounts, item_keys: PartRef, vocabulary_dir: str, scratch: str, previous: str
) -> PartRef:
    """Writes the vocabulary; gives the table of the id of each item code."""
    keys = read_keys(item_keys)
    known = ItemVocabulary.read(previous) if previous else ItemVocabulary(())
    vocabulary = known.extended(keys.take(pa.array(counts.values)), counts.counts)
    with written_whole(os.path.join(vocabulary_dir, VOCABULARY_FILE), scratch) as path:
        vocabulary.write(path)
    table = pa.table({"item_id": vocabulary.encode(keys)})
    [ref] = write_tables(os.path.join(scratch, "item_ids"), [table])
    return ref


def read_keys(ref: PartRef) -> pa.Array:
    """The one column of keys that was kept."""
    return read_part(ref).column(0).combine_chunks()
