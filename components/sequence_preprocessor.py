"""SequencePreprocessor: interactions to split histories and the item vocabulary, on Beam.

Blocks of the log are cut by user into a fixed number of partitions, and each partition becomes one
shard of each split. What is written depends on the log alone, not on workers, blocks or the order
of elements. Rows never travel through Beam: they lie in files of a scratch folder, and elements are
references to them, so that no runner has to hold a log in memory. A step reads files, calls one
function of `adarec_tf.data` and writes files.
"""

import functools
import json
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.k_core import UserPairs, k_core_filter, keep
from adarec_tf.data.histories.preprocessing import count_vocabulary_items, order_part, split_part
from adarec_tf.data.histories.sessions import check_time_unit
from adarec_tf.data.histories.statistics import (
    SequenceStatistics,
    add_counts,
    check_enough_is_left,
    summarize,
)
from adarec_tf.data.histories.time_split import TimeCuts, find_time_cuts
from adarec_tf.data.histories.value_counts import ValueCounts, count_values, merge_counts
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.encoded import count_partitions, cut_by_user, distinct_keys, encode_items
from adarec_tf.data.log.events import (
    EVENT_LOG_SCHEMA,
    NO_EVENTS,
    EventOptions,
    resolve_events,
    select_events,
)
from adarec_tf.data.storage.arrow_files import PartRef, read_column, read_part, write_tables
from adarec_tf.data.storage.atomic_file import written_whole
from adarec_tf.data.storage.history_files import (
    SPLITS,
    Shard,
    list_shards,
    read_statistics,
    write_manifest,
    write_shard,
    write_statistics,
)
from components.artifacts import VOCABULARY_FILE, Sequences, Vocabulary
from components.interaction_blocks import count_rows, list_blocks, read_block
from components.interactions_gen import SPLIT

_SCRATCH = "scratch"


class _Job(NamedTuple):
    """What all steps know: the arguments of `preprocess`, and where they put what they pass on."""

    sequences_dir: str
    vocabulary_dir: str
    scratch: str
    num_partitions: int
    config: DataConfig
    time_scale: int
    events: EventOptions
    previous_vocabulary: str


class _Partition(NamedTuple):
    """A part of the users (`UserPart`) on disk, and which one it is."""

    number: int
    keys: PartRef
    interactions: PartRef
    removed: dict[str, int]


class _Kept(NamedTuple):
    """Which users stay (bool [U] by partition) and which items (bool [V]); what went, by filter."""

    users: list[PartRef]
    items: PartRef
    removed: dict[str, int]


class _WrittenPart(NamedTuple):
    """The shards of a partition, and what is counted of it."""

    shards: list[Shard]
    counts: dict[str, int]
    removed: dict[str, int]


@component(use_beam=True)
def SequencePreprocessor(  # noqa: N802 (a component is named as a class)
    examples: InputArtifact[Examples],
    sequences: OutputArtifact[Sequences],
    vocabulary: OutputArtifact[Vocabulary],
    data_config: Parameter[str],
    code_fingerprint: Parameter[str] = "",
    previous_vocabulary: Parameter[str] = "",
    previous_fingerprint: Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Filters, orders and splits a log.

    Args:
      examples: of InteractionsGen.
      sequences: train, valid and test histories and their statistics.
      vocabulary: the item vocabulary.
      data_config: a `DataConfig` as JSON.
      code_fingerprint: a hash of the code; a new value makes cached outputs stale.
      previous_vocabulary: file of an earlier run's vocabulary, whose ids are kept; "" for none.
      previous_fingerprint: of that file, for the cache to see changes.
      beam_pipeline: made by TFX from the Beam arguments of the pipeline.

    Raises:
      ValueError: the filters left nothing to learn from, or a split in time no targets, or the log
        has no event of a type named, or times in another unit; or the earlier vocabulary cannot be
        read.
    """
    del code_fingerprint, previous_fingerprint  # only part of the cache key
    config = DataConfig.from_json(data_config)
    largest_time = examples.get_float_custom_property("largest_time")
    check_time_unit(config, largest_time)
    split_dir = artifact_utils.get_split_uri([examples], SPLIT)
    time_scale = examples.get_int_custom_property("time_scale") or 1
    counts = json.loads(examples.get_string_custom_property("event_counts") or "{}")
    events = resolve_events(config, counts)
    statistics = preprocess(
        beam_pipeline,
        split_dir,
        sequences.uri,
        vocabulary.uri,
        config,
        time_scale,
        events,
        previous_vocabulary,
    )
    for name, count in statistics.removed.items():
        sequences.set_int_custom_property(f"removed_{name}", count)
    for name in ("num_users", "num_items", "num_interactions"):
        sequences.set_int_custom_property(name, getattr(statistics, name))
    sequences.set_string_custom_property("split", config.split)
    sequences.set_string_custom_property("seen", statistics.seen)
    sequences.set_string_custom_property("data_fingerprint", statistics.data_fingerprint)
    vocabulary.set_int_custom_property("num_items", statistics.num_items)
    vocabulary.set_float_custom_property("until", largest_time)


def preprocess(
    pipeline: beam.Pipeline,
    examples_dir: str,
    sequences_dir: str,
    vocabulary_dir: str,
    config: DataConfig,
    time_scale: int = 1,
    events: EventOptions = NO_EVENTS,
    previous_vocabulary: str = "",
) -> SequenceStatistics:
    """Runs the pipeline from the blocks of InteractionsGen to sequences and vocabulary.

    Args:
      pipeline: an empty Beam pipeline.
      examples_dir: the folder of the blocks; all workers see it, and the two below.
      sequences_dir: gets the histories, their manifest and the statistics.
      vocabulary_dir: gets the vocabulary.
      config: filters, how to split, and the policy for seen items.
      time_scale: of the blocks' times (`LogSummary.time_scale`).
      events: what becomes of the event types of the blocks.
      previous_vocabulary: file of a vocabulary that is extended; "" for none. All workers see it.

    Returns:
      The statistics written beside the sequences.

    Raises:
      ValueError: the filters left nothing to learn from, or a split in time no targets; or the
        earlier vocabulary cannot be read.
    """
    if previous_vocabulary:
        ItemVocabulary.read(previous_vocabulary)  # an error here is better than in a worker
    files = list_blocks(examples_dir)
    job = _Job(
        sequences_dir,
        vocabulary_dir,
        os.path.join(sequences_dir, _SCRATCH),
        count_partitions(count_rows(files)),
        config,
        time_scale,
        events,
        previous_vocabulary,
    )
    folders = [os.path.join(sequences_dir, f"Split-{split}") for split in SPLITS]
    for folder in (*folders, vocabulary_dir, job.scratch):
        tf.io.gfile.makedirs(folder)
    try:
        with pipeline:
            _build(pipeline, files, job)
    finally:
        tf.io.gfile.rmtree(job.scratch)
    # After the run, not inside: an error raised in Beam reaches the user wrapped in its own.
    statistics = read_statistics(sequences_dir)
    num_valid, num_test = (
        sum(shard.num_histories for shard in list_shards(sequences_dir, name))
        for name in ("valid", "test")
    )
    check_enough_is_left(statistics, num_valid, num_test, config)
    return statistics


def _build(pipeline: beam.Pipeline, files: list[str], job: _Job) -> None:
    """Lays out the steps; each partition is one element from the grouping on."""
    blocks = pipeline | "Files" >> beam.Create(files) | "SpreadFiles" >> beam.Reshuffle()
    item_keys = beam.pvalue.AsSingleton(
        blocks
        | "FindItems" >> beam.Map(_item_keys_of)
        | "MergeItems" >> beam.CombineGlobally(distinct_keys)
        | "WriteItems" >> beam.Map(_write_column, "items", job)
    )
    partitions = (
        blocks
        | "CutByUser" >> beam.FlatMap(_cut_block, item_keys, job)
        | "GroupByPartition" >> beam.GroupByKey()
        | "Order" >> beam.Map(_order_partition, job)
    )
    kept = beam.pvalue.AsSingleton(
        partitions
        | "ListPartitions" >> beam.combiners.ToList()
        | "Filter" >> beam.Map(_find_kept, item_keys, job)
    )
    cuts = beam.pvalue.AsSingleton(_time_cuts(pipeline, partitions, kept, job.config))
    item_ids = beam.pvalue.AsSingleton(
        partitions
        | "CountItems" >> beam.Map(_count_items, kept, cuts, job)
        | "MergeItemCounts" >> beam.CombineGlobally(merge_counts)
        | "WriteVocabulary" >> beam.Map(_write_vocabulary, item_keys, job)
    )
    _ = (
        partitions
        | "WriteShards" >> beam.Map(_write_shards, kept, item_ids, cuts, job)
        | "ListShards" >> beam.combiners.ToList()
        | "WriteStatistics" >> beam.Map(_write_summary, kept, item_ids, cuts, job)
    )


def _time_cuts(
    pipeline: beam.Pipeline,
    partitions: beam.PCollection,
    kept: beam.pvalue.AsSingleton,
    config: DataConfig,
) -> beam.PCollection:
    """The one `TimeCuts` of a global time split; None for leave-one-out."""
    if config.split == "leave_one_out":
        return pipeline | "NoTimeCuts" >> beam.Create([None])
    return (
        partitions
        | "CountTimes" >> beam.Map(_count_times, kept)
        | "MergeTimeCounts" >> beam.CombineGlobally(merge_counts)
        | "FindTimeCuts" >> beam.Map(find_time_cuts, config.test_time_share)
    )


def _item_keys_of(path: str) -> pa.Array:
    """The distinct item keys of a block."""
    return distinct_keys(read_block(path, ["item_id"])["item_id"].chunks)


def _cut_block(path: str, item_keys: PartRef, job: _Job) -> Iterator[tuple[int, PartRef]]:
    """The part of each partition, also where it has no rows: every shard is written."""
    block = read_block(path, EVENT_LOG_SCHEMA.names if job.events.is_any_in_use else None)
    block = encode_items(select_events(block, job.events), read_column(item_keys))
    name = os.path.join(job.scratch, os.path.basename(path))
    yield from enumerate(write_tables(name, cut_by_user(block, job.num_partitions)))


def _order_partition(grouped: tuple[int, Iterable[PartRef]], job: _Job) -> _Partition:
    """Brings the interactions of a partition into the order of histories."""
    number, blocks = grouped
    # Sorted: what is written must not depend on how a runner grouped.
    parts = map(read_part, sorted(blocks))
    part = order_part(pa.concat_tables(parts), job.config, job.time_scale)
    path = os.path.join(job.scratch, f"partition-{number:05d}-ordered")
    keys, interactions = write_tables(path, [pa.table({"key": part.keys}), part.interactions])
    return _Partition(number, keys, interactions, part.removed)


def _find_kept(partitions: list[_Partition], item_keys: PartRef, job: _Job) -> _Kept:
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
    return _Kept(users, items, core.removed)


def _kept_interactions(partition: _Partition, kept: _Kept) -> pa.Table:
    users, items = (
        read_part(ref)["kept"].to_numpy() for ref in (kept.users[partition.number], kept.items)
    )
    return keep(read_part(partition.interactions), users, items)


def _count_times(partition: _Partition, kept: _Kept) -> ValueCounts:
    """How often each time occurs among what stays, for the cuts of a split in time."""
    return count_values(_kept_interactions(partition, kept)["timestamp"].to_numpy())


def _count_items(
    partition: _Partition, kept: _Kept, cuts: TimeCuts | None, job: _Job
) -> ValueCounts:
    """How often each item occurs where the vocabulary is taken from."""
    return count_vocabulary_items(_kept_interactions(partition, kept), cuts, job.config)


def _write_vocabulary(counts: ValueCounts, item_keys: PartRef, job: _Job) -> PartRef:
    """Writes the vocabulary; gives the id of each item code."""
    keys, previous = read_column(item_keys), job.previous_vocabulary
    known = ItemVocabulary.read(previous) if previous else ItemVocabulary(())
    vocabulary = known.extended(keys.take(pa.array(counts.values)), counts.counts)
    with written_whole(os.path.join(job.vocabulary_dir, VOCABULARY_FILE), job.scratch) as path:
        vocabulary.write(path)
    return _write_column(pa.array(vocabulary.encode(keys)), "item_ids", job)


def _write_shards(
    partition: _Partition, kept: _Kept, item_ids: PartRef, cuts: TimeCuts | None, job: _Job
) -> _WrittenPart:
    """Splits the histories of a partition and writes a shard of each split."""
    interactions, keys = _kept_interactions(partition, kept), read_column(partition.keys)
    part = split_part(interactions, keys, read_column(item_ids).to_numpy(), cuts, job.config)
    shards = write_shard(
        job.sequences_dir, partition.number, job.num_partitions, part.splits, job.scratch
    )
    return _WrittenPart(shards, part.counts, add_counts([partition.removed, part.removed]))


def _write_summary(
    written: list[_WrittenPart], kept: _Kept, item_ids: PartRef, cuts: TimeCuts | None, job: _Job
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


def _write_column(values: pa.Array, name: str, job: _Job) -> PartRef:
    [ref] = write_tables(os.path.join(job.scratch, name), [pa.table({name: values})])
    return ref
