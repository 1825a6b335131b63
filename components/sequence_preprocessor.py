"""SequencePreprocessor: interactions to split histories and the item vocabulary, on Beam.

Blocks of the log are cut by user into a fixed number of partitions, and each partition becomes one
shard of each split; what is written depends on the log alone, not on workers, blocks or the order
of elements. Rows never travel through Beam: they lie in files beside the output (`block_files`),
and elements are references to them, so that no runner has to hold a log in memory.

The work is done by vectorised functions of `adarec_tf.data`, in this order: the item keys of the
log; blocks of the events that stay (`events`), in item codes, cut by user; each partition ordered
(`user_partitions`); sessions and repeats (`history_options`); which users and items stay (`core`);
the cuts of a split in time; the vocabulary; the shards.
"""

import json
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import BeamComponentParameter
from tfx.types import artifact_utils

from adarec_tf.config import DataConfig
from adarec_tf.data import coded_log, global_time_split, session_time_split, user_partitions
from adarec_tf.data import sequences as log
from adarec_tf.data.block_files import PartRef, read_part, read_parts, write_parts, write_tables
from adarec_tf.data.core import UserPairs, find_core, is_kept
from adarec_tf.data.events import (
    EVENT_LOG_SCHEMA,
    NO_EVENTS,
    EventOptions,
    resolve_events,
    select_events,
)
from adarec_tf.data.examples import (
    Histories,
    SequenceStatistics,
    read_histories,
    read_statistics,
    write_statistics,
)
from adarec_tf.data.global_time_split import TimeCuts
from adarec_tf.data.history_options import HistoryOptions, check_time_unit, shape_partition
from adarec_tf.data.history_shards import write_shard
from adarec_tf.data.shard_manifest import Shard, write_manifest
from adarec_tf.data.training_windows import cut_windows
from adarec_tf.data.user_partitions import Partition
from adarec_tf.data.value_counts import ValueCounts, count_values, merge_counts
from adarec_tf.data.vocabulary import ItemVocabulary
from adarec_tf.data.whole_files import written_whole
from components.artifacts import VOCABULARY_FILE, Sequences, Vocabulary
from components.interaction_blocks import count_rows, list_blocks, read_block
from components.interactions_gen import SPLIT

_SCRATCH = "scratch"


class _Kept(NamedTuple):
    """Which users and items stay.

    Attributes:
      users: by partition, the table `kept` (bool [U]).
      items: the table `kept` (bool [V]).
      removed: what went, by filter.
    """

    users: list[PartRef]
    items: PartRef
    removed: dict[str, int]


class _Measures(NamedTuple):
    """What is counted of a shard; sums over shards describe the whole."""

    num_users: int
    num_interactions: int
    num_train_interactions: int
    num_repeats: int
    digest: int
    removed: dict[str, int]


class _Written(NamedTuple):
    """The shards of a partition."""

    measures: _Measures
    shards: list[Shard]


@tfx.dsl.components.component(use_beam=True)
def SequencePreprocessor(  # noqa: N802 (a component is named as a class)
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    sequences: tfx.dsl.components.OutputArtifact[Sequences],
    vocabulary: tfx.dsl.components.OutputArtifact[Vocabulary],
    data_config: tfx.dsl.components.Parameter[str],
    code_fingerprint: tfx.dsl.components.Parameter[str] = "",
    previous_vocabulary: tfx.dsl.components.Parameter[str] = "",
    previous_fingerprint: tfx.dsl.components.Parameter[str] = "",
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
    check_time_unit(config, examples.get_float_custom_property("largest_time"))
    split_dir = artifact_utils.get_split_uri([examples], SPLIT)
    time_scale = examples.get_int_custom_property("time_scale") or 1
    counts = json.loads(examples.get_string_custom_property("event_counts") or "{}")
    events = resolve_events(config, counts)
    statistics = preprocess(
        *(beam_pipeline, split_dir, sequences.uri, vocabulary.uri, config, time_scale, events),
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
      sequences_dir: gets `Split-{train,valid,test}/part-*.gz`, their manifest and the statistics.
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
    scratch = os.path.join(sequences_dir, _SCRATCH)
    folders = [os.path.join(sequences_dir, f"Split-{split}") for split in log.Splits._fields]
    for folder in (*folders, vocabulary_dir, scratch):
        tf.io.gfile.makedirs(folder)
    try:
        with pipeline:
            _build(
                *(pipeline, examples_dir, sequences_dir, vocabulary_dir, scratch, config),
                *(HistoryOptions.of_config(config, time_scale), events, previous_vocabulary),
            )
    finally:
        tf.io.gfile.rmtree(scratch)
    # After the run, not inside: an error raised in Beam reaches the user wrapped in its own.
    statistics = read_statistics(sequences_dir)
    if config.split == "global_time" and statistics.num_users > 0:
        valid, test = (read_histories(sequences_dir, name) for name in ("valid", "test"))
        global_time_split.check_targets_are_left(valid, test, statistics.removed)
    log.check_enough_is_left(statistics.num_users, statistics.num_items, statistics.removed, config)
    return statistics


def _build(
    pipeline: beam.Pipeline,
    examples_dir: str,
    sequences_dir: str,
    vocabulary_dir: str,
    scratch: str,
    config: DataConfig,
    options: HistoryOptions,
    events: EventOptions,
    previous_vocabulary: str,
) -> None:
    """Lays out the steps; each partition is one element from the grouping on."""
    files = list_blocks(examples_dir)
    num_partitions = user_partitions.count_partitions(count_rows(files))
    blocks = pipeline | "Files" >> beam.Create(files) | "SpreadFiles" >> beam.Reshuffle()
    item_keys = beam.pvalue.AsSingleton(
        blocks
        | "FindItems" >> beam.Map(_item_keys)
        | "MergeItems" >> beam.CombineGlobally(coded_log.distinct_keys)
        | "WriteItems" >> beam.Map(_write_item_keys, scratch)
    )
    partitions = (
        blocks
        | "CutByUser" >> beam.FlatMap(_cut_block, item_keys, scratch, num_partitions, events)
        | "GroupByPartition" >> beam.GroupByKey()
        | "Sort" >> beam.Map(_sort, scratch, config.max_rows_in_memory, options)
    )
    kept = beam.pvalue.AsSingleton(
        partitions
        | "ListPartitions" >> beam.combiners.ToList()
        | "Filter" >> beam.Map(_find_core, item_keys, scratch, config)
    )
    cuts = beam.pvalue.AsSingleton(_time_cuts(pipeline, partitions, kept, config))
    item_ids = beam.pvalue.AsSingleton(
        partitions
        | "CountItems" >> beam.Map(_count_items, kept, cuts, config)
        | "MergeItemCounts" >> beam.CombineGlobally(merge_counts)
        | "WriteVocabulary"
        >> beam.Map(_write_vocabulary, item_keys, vocabulary_dir, scratch, previous_vocabulary)
    )
    _ = (
        partitions
        | "WriteShards"
        >> beam.Map(_write_shards, kept, item_ids, cuts, sequences_dir, num_partitions, config)
        | "ListShards" >> beam.combiners.ToList()
        | "WriteStatistics"
        >> beam.Map(
            *(_write_summary, kept, item_ids, cuts, sequences_dir, vocabulary_dir, config, events)
        )
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
        | "FindTimeCuts"
        >> beam.Map(
            global_time_split.find_time_cuts,
            valid_time_share=config.valid_time_share,
            test_time_share=config.test_time_share,
        )
    )


def _item_keys(path: str) -> pa.Array:
    return coded_log.distinct_keys(read_block(path, ["item_id"])["item_id"].chunks)


def _write_item_keys(keys: pa.Array, scratch: str) -> PartRef:
    [ref] = write_tables(os.path.join(scratch, "items"), [pa.table({"key": keys})])
    return ref


def _cut_block(
    path: str, item_keys: PartRef, scratch: str, num_partitions: int, events: EventOptions
) -> Iterator[tuple[int, PartRef]]:
    """The part of each partition, also where it has no rows: every shard is written."""
    block = read_block(path, EVENT_LOG_SCHEMA.names if events.is_any_in_use else None)
    block = select_events(block, events) if events.is_any_in_use else block
    block = coded_log.encode_items(block, _read_keys(item_keys))
    users = block["user_id"].combine_chunks()
    parts = coded_log.partition_users(users, num_partitions)
    name = os.path.join(scratch, os.path.basename(path))
    yield from enumerate(write_parts(name, block, parts, num_partitions))


def _sort(
    grouped: tuple[int, Iterable[PartRef]], scratch: str, max_rows: int, options: HistoryOptions
) -> Partition:
    number, blocks = grouped
    partition = user_partitions.sort_partition(number, blocks, scratch, max_rows)
    return shape_partition(partition, scratch, options) if options.is_any_in_use else partition


def _find_core(
    partitions: list[Partition], item_keys: PartRef, scratch: str, config: DataConfig
) -> _Kept:
    """On one worker: pairs of codes are few bytes, and every round needs the one before."""

    def pairs(partition: Partition) -> UserPairs:
        def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for chunk in read_parts(partition.chunks):
                yield chunk["user"].to_numpy(), chunk["item"].to_numpy()

        return UserPairs(partition.num_users, blocks)

    core = find_core(
        [pairs(partition) for partition in sorted(partitions)],
        item_keys.num_rows,
        min_user_interactions=config.min_user_interactions,
        min_item_interactions=config.min_item_interactions,
        rounds=config.core_rounds,
    )
    tables = [pa.table({"kept": mask}) for mask in (*core.users, core.items)]
    *users, items = write_tables(os.path.join(scratch, "kept"), tables)
    return _Kept(users, items, core.removed)


def _kept_chunks(partition: Partition, kept: _Kept) -> Iterator[pa.Table]:
    """`ORDERED_SCHEMA`, a chunk at a time."""
    users, items = (
        read_part(ref)["kept"].to_numpy() for ref in (kept.users[partition.number], kept.items)
    )
    for chunk in read_parts(partition.chunks):
        mask = is_kept(chunk["user"].to_numpy(), chunk["item"].to_numpy(), users, items)
        yield chunk.filter(pa.array(mask))


def _count_times(partition: Partition, kept: _Kept) -> ValueCounts:
    return merge_counts(
        count_values(chunk["timestamp"].to_numpy()) for chunk in _kept_chunks(partition, kept)
    )


def _count_items(
    partition: Partition, kept: _Kept, cuts: TimeCuts | None, config: DataConfig
) -> ValueCounts:
    """Of the interactions that make the vocabulary: all, unless a cut hides the future."""
    chunks = _kept_chunks(partition, kept)
    if cuts is not None and config.has_sessions:
        sessions = user_partitions.read_whole_users(chunks)
        chunks = (session_time_split.training_interactions(table, cuts) for table in sessions)
    elif cuts is not None:
        chunks = (global_time_split.training_interactions(chunk, cuts) for chunk in chunks)
    return merge_counts(count_values(chunk["item"].to_numpy()) for chunk in chunks)


def _write_vocabulary(
    counts: ValueCounts, item_keys: PartRef, vocabulary_dir: str, scratch: str, previous: str
) -> PartRef:
    """Writes the vocabulary; gives the table of the id of each item code."""
    keys = _read_keys(item_keys)
    known = ItemVocabulary.read(previous) if previous else ItemVocabulary(())
    vocabulary = known.extended(keys.take(pa.array(counts.values)), counts.counts)
    with written_whole(os.path.join(vocabulary_dir, VOCABULARY_FILE), scratch) as path:
        vocabulary.write(path)
    table = pa.table({"item_id": vocabulary.encode(keys)})
    [ref] = write_tables(os.path.join(scratch, "item_ids"), [table])
    return ref


def _write_shards(
    partition: Partition,
    kept: _Kept,
    item_ids: PartRef,
    cuts: TimeCuts | None,
    sequences_dir: str,
    num_partitions: int,
    config: DataConfig,
) -> _Written:
    measures: list[_Measures] = []

    def parts() -> Iterator[log.Splits]:
        keys, ids = _read_keys(partition.keys), read_part(item_ids)["item_id"].to_numpy()
        for interactions in user_partitions.read_whole_users(_kept_chunks(partition, kept)):
            histories = log.to_histories(interactions, keys, ids)
            splits, removed = _split(histories, interactions, cuts, config)
            measures.append(
                _Measures(
                    num_users=histories.num_users,
                    num_interactions=len(histories.item_ids),
                    num_train_interactions=len(splits.train.item_ids),
                    num_repeats=log.count_repeats(splits.train),
                    digest=log.digest_histories(histories),
                    removed=removed,
                )
            )
            yield splits._replace(train=_windows(splits.train, config))

    scratch = os.path.join(sequences_dir, _SCRATCH)
    shards = write_shard(sequences_dir, partition.number, num_partitions, parts(), scratch)
    before = _NOTHING._replace(removed=partition.removed)
    return _Written(_sum_measures([before, *measures]), shards)


_NOTHING = _Measures(0, 0, 0, 0, 0, {})


def _windows(train: Histories, config: DataConfig) -> Histories:
    if config.window_length == 0:
        return train
    return cut_windows(train, config.window_length, config.window_overlap)


def _split(
    histories: log.Histories, interactions: pa.Table, cuts: TimeCuts | None, config: DataConfig
) -> tuple[log.Splits, dict[str, int]]:
    if cuts is None:
        return log.split_leave_one_out(histories), {}
    timestamps = interactions["timestamp"].to_numpy()
    if config.has_sessions:
        return session_time_split.split_sessions(histories, timestamps, cuts)
    return global_time_split.split_global_time(histories, timestamps, cuts)


def _sum_measures(parts: Iterable[_Measures]) -> _Measures:
    parts = list(parts)
    names = sorted({name for part in parts for name in part.removed})
    return _Measures(
        num_users=sum(part.num_users for part in parts),
        num_interactions=sum(part.num_interactions for part in parts),
        num_train_interactions=sum(part.num_train_interactions for part in parts),
        num_repeats=sum(part.num_repeats for part in parts),
        digest=log.add_digests(part.digest for part in parts),
        removed={name: sum(part.removed.get(name, 0) for part in parts) for name in names},
    )


def _write_summary(
    written: list[_Written],
    kept: _Kept,
    item_ids: PartRef,
    cuts: TimeCuts | None,
    sequences_dir: str,
    vocabulary_dir: str,
    config: DataConfig,
    events: EventOptions,
) -> None:
    """Writes the statistics and the manifest; the vocabulary is there once its ids are."""
    del item_ids
    measures = _sum_measures(part.measures for part in written)
    vocabulary = ItemVocabulary.read(os.path.join(vocabulary_dir, VOCABULARY_FILE))
    share = log.repeat_share(measures.num_repeats, measures.num_train_interactions)
    has_windows = config.window_length > 0
    windows = (config.window_length, config.window_overlap) if has_windows else ()
    statistics = SequenceStatistics(
        num_users=measures.num_users,
        num_items=vocabulary.num_items,
        num_interactions=measures.num_interactions,
        removed=events.removed | measures.removed | kept.removed,
        repeat_share=share,
        seen=log.resolve_seen(config.seen, share, config.max_repeat_share),
        max_length=config.max_length,
        data_fingerprint=log.data_fingerprint(measures.digest, vocabulary, cuts or (), windows),
    )
    write_statistics(sequences_dir, statistics)
    write_manifest(sequences_dir, (shard for part in written for shard in part.shards))


def _read_keys(ref: PartRef) -> pa.Array:
    return read_part(ref).column(0).combine_chunks()
