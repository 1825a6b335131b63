"""What workers of the sequence preprocessor do: read files, call one function, write files.

The functions of `adarec_tf.data` do the work on a part of the users; here the parts lie in files of
a scratch folder (`arrow_files`), and references to them are the elements of the Beam pipeline.
"""

import functools
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.k_core import UserPairs, k_core_filter, keep
from adarec_tf.data.histories.preprocessing import count_vocabulary_items, order_part, split_part
from adarec_tf.data.histories.statistics import add_counts, summarize
from adarec_tf.data.histories.time_split import TimeCuts
from adarec_tf.data.histories.value_counts import ValueCounts, count_values
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.encoded import cut_by_user, distinct_keys, encode_items
from adarec_tf.data.log.events import EVENT_LOG_SCHEMA, EventOptions, select_events
from adarec_tf.data.storage.arrow_files import PartRef, read_column, read_part, write_tables
from adarec_tf.data.storage.atomic_file import written_whole
from adarec_tf.data.storage.history_files import write_shard, write_statistics
from adarec_tf.data.storage.manifest import Shard, write_manifest
from components.artifacts import VOCABULARY_FILE
from components.interaction_blocks import read_block


class Job(NamedTuple):
    """What all steps know.

    Attributes:
      sequences_dir: gets the histories.
      vocabulary_dir: gets the vocabulary.
      scratch: a folder for what lies between the steps; all workers see it.
      num_partitions: into how many parts users are cut.
      config: filters, how to split, and the policy for seen items.
      time_scale: of the blocks' times.
      events: what becomes of the event types of the blocks.
      previous_vocabulary: file of a vocabulary that is extended; "" for none.
    """

    sequences_dir: str
    vocabulary_dir: str
    scratch: str
    num_partitions: int
    config: DataConfig
    time_scale: int
    events: EventOptions
    previous_vocabulary: str


class Partition(NamedTuple):
    """A part of the users (`UserPart`) on disk, and which one it is."""

    number: int
    keys: PartRef
    interactions: PartRef
    removed: dict[str, int]


class Kept(NamedTuple):
    """Which users and items stay.

    Attributes:
      users: by partition, bool [U].
      items: bool [V].
      removed: what went, by filter.
    """

    users: list[PartRef]
    items: PartRef
    removed: dict[str, int]


class WrittenPart(NamedTuple):
    """The shards of a partition, and what is counted of it."""

    shards: list[Shard]
    counts: dict[str, int]
    removed: dict[str, int]


def item_keys_of(path: str) -> pa.Array:
    """The distinct item keys of a block."""
    return distinct_keys(read_block(path, ["item_id"])["item_id"].chunks)


def write_item_keys(keys: pa.Array, job: Job) -> PartRef:
    """Keeps the item keys of the log, in the order of their codes."""
    return _write_column(keys, "items", job)


def cut_block(path: str, item_keys: PartRef, job: Job) -> Iterator[tuple[int, PartRef]]:
    """The part of each partition, also where it has no rows: every shard is written."""
    block = read_block(path, EVENT_LOG_SCHEMA.names if job.events.is_any_in_use else None)
    block = encode_items(select_events(block, job.events), read_column(item_keys))
    name = os.path.join(job.scratch, os.path.basename(path))
    yield from enumerate(write_tables(name, cut_by_user(block, job.num_partitions)))


def order_partition(grouped: tuple[int, Iterable[PartRef]], job: Job) -> Partition:
    """Brings the interactions of a partition into the order of histories."""
    number, blocks = grouped
    # Sorted: what is written must not depend on how a runner grouped.
    parts = map(read_part, sorted(blocks))
    part = order_part(pa.concat_tables(parts), job.config, job.time_scale)
    path = os.path.join(job.scratch, f"partition-{number:05d}-ordered")
    keys, interactions = write_tables(path, [pa.table({"key": part.keys}), part.interactions])
    return Partition(number, keys, interactions, part.removed)


def find_kept(partitions: list[Partition], item_keys: PartRef, job: Job) -> Kept:
    """Filters on one worker: codes are few bytes, and every round needs the one before."""
    core = k_core_filter(
        [
            UserPairs(partition.keys.num_rows, functools.partial(read_part, partition.interactions))
            for partition in sorted(partitions)
        ],
        item_keys.num_rows,
        min_user_interactions=job.config.min_user_interactions,
        min_item_interactions=job.config.min_item_interactions,
        rounds=job.config.k_core_rounds,
    )
    tables = [pa.table({"kept": mask}) for mask in (*core.users, core.items)]
    *users, items = write_tables(os.path.join(job.scratch, "kept"), tables)
    return Kept(users, items, core.removed)


def _kept_interactions(partition: Partition, kept: Kept) -> pa.Table:
    users, items = (
        read_part(ref)["kept"].to_numpy() for ref in (kept.users[partition.number], kept.items)
    )
    return keep(read_part(partition.interactions), users, items)


def count_times(partition: Partition, kept: Kept) -> ValueCounts:
    """How often each time occurs among what stays, for the cuts of a split in time."""
    return count_values(_kept_interactions(partition, kept)["timestamp"].to_numpy())


def count_items(partition: Partition, kept: Kept, cuts: TimeCuts | None, job: Job) -> ValueCounts:
    """How often each item occurs where the vocabulary is taken from."""
    return count_vocabulary_items(_kept_interactions(partition, kept), cuts, job.config)


def write_vocabulary(counts: ValueCounts, item_keys: PartRef, job: Job) -> PartRef:
    """Writes the vocabulary; gives the id of each item code."""
    keys, previous = read_column(item_keys), job.previous_vocabulary
    known = ItemVocabulary.read(previous) if previous else ItemVocabulary(())
    vocabulary = known.extended(keys.take(pa.array(counts.values)), counts.counts)
    with written_whole(os.path.join(job.vocabulary_dir, VOCABULARY_FILE), job.scratch) as path:
        vocabulary.write(path)
    return _write_column(pa.array(vocabulary.encode(keys)), "item_ids", job)


def write_shards(
    partition: Partition, kept: Kept, item_ids: PartRef, cuts: TimeCuts | None, job: Job
) -> WrittenPart:
    """Splits the histories of a partition and writes a shard of each split."""
    interactions, keys = _kept_interactions(partition, kept), read_column(partition.keys)
    part = split_part(interactions, keys, read_column(item_ids).to_numpy(), cuts, job.config)
    shards = write_shard(
        job.sequences_dir, partition.number, job.num_partitions, part.splits, job.scratch
    )
    return WrittenPart(shards, part.counts, add_counts([partition.removed, part.removed]))


def write_summary(
    written: list[WrittenPart], kept: Kept, item_ids: PartRef, cuts: TimeCuts | None, job: Job
) -> None:
    """Writes the statistics and the manifest; the vocabulary is there once its ids are."""
    del item_ids
    statistics = summarize(
        add_counts(part.counts for part in written),
        add_counts([job.events.removed, kept.removed, *(part.removed for part in written)]),
        ItemVocabulary.read(os.path.join(job.vocabulary_dir, VOCABULARY_FILE)),
        cuts or (),
        job.config,
    )
    write_statistics(job.sequences_dir, statistics)
    write_manifest(job.sequences_dir, (shard for part in written for shard in part.shards))


def _write_column(values: pa.Array, name: str, job: Job) -> PartRef:
    [ref] = write_tables(os.path.join(job.scratch, name), [pa.table({name: values})])
    return ref
