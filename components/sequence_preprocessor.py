"""SequencePreprocessor: interactions to split histories and the item vocabulary, on Beam.

Elements are blocks of many rows, so that the work is done by the vectorised functions of
`adarec_tf.data.sequences`. Users are hashed into a fixed number of partitions, one output shard
each; what is written depends on the log alone, not on workers or the order of elements.
"""

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
from tfx_bsl.coders import example_coder

from adarec_tf.config import DataConfig
from adarec_tf.data import global_time_split
from adarec_tf.data import sequences as log
from adarec_tf.data.examples import (
    Histories,
    SequenceStatistics,
    read_histories,
    read_statistics,
    serialize_history,
    write_statistics,
)
from adarec_tf.data.global_time_split import TimeCuts
from adarec_tf.data.vocabulary import ItemVocabulary
from components.artifacts import VOCABULARY_FILE, Sequences, Vocabulary
from components.interactions_gen import SPLIT

_NUM_SHARDS = 8
_BLOCK_ROWS = 1 << 16


class _Partition(NamedTuple):
    """All interactions of some users, and what filters have removed of them."""

    shard: int
    interactions: pa.Table
    removed: dict[str, int]


class _Measures(NamedTuple):
    """What is counted of a shard; sums over shards describe the whole."""

    num_users: int
    num_interactions: int
    num_train_interactions: int
    num_repeats: int
    digest: int
    removed: dict[str, int]


@tfx.dsl.components.component(use_beam=True)
def SequencePreprocessor(  # noqa: N802 (a component is named as a class)
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    sequences: tfx.dsl.components.OutputArtifact[Sequences],
    vocabulary: tfx.dsl.components.OutputArtifact[Vocabulary],
    data_config: tfx.dsl.components.Parameter[str],
    code_fingerprint: tfx.dsl.components.Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Filters, orders and splits a log.

    Args:
      examples: of InteractionsGen.
      sequences: train, valid and test histories and their statistics.
      vocabulary: the item vocabulary.
      data_config: a `DataConfig` as JSON.
      code_fingerprint: a hash of the code; a new value makes cached outputs stale.
      beam_pipeline: made by TFX from the Beam arguments of the pipeline.

    Raises:
      ValueError: the filters left nothing to learn from, or a split in time no targets.
    """
    del code_fingerprint  # only part of the cache key
    config = DataConfig.from_json(data_config)
    split_dir = artifact_utils.get_split_uri([examples], SPLIT)
    statistics = preprocess(beam_pipeline, split_dir, sequences.uri, vocabulary.uri, config)
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
) -> SequenceStatistics:
    """Runs the pipeline from the shards of InteractionsGen to sequences and vocabulary.

    Args:
      pipeline: an empty Beam pipeline.
      examples_dir: the folder of the examples' TFRecords.
      sequences_dir: gets `Split-{train,valid,test}/part-*.gz` and the statistics.
      vocabulary_dir: gets the vocabulary.
      config: filters, how to split, and the policy for seen items.

    Returns:
      The statistics written beside the sequences.

    Raises:
      ValueError: the filters left nothing to learn from, or a split in time no targets.
    """
    for split in log.Splits._fields:
        tf.io.gfile.makedirs(_split_dir(sequences_dir, split))
    tf.io.gfile.makedirs(vocabulary_dir)
    with pipeline:
        partitions = _partitions(pipeline, examples_dir)
        item_counts = _count_items(partitions, "All")
        partitions |= "Filter" >> beam.Map(_filter, beam.pvalue.AsSingleton(item_counts), config)
        cuts = beam.pvalue.AsSingleton(_time_cuts(pipeline, partitions, config))
        known = partitions | "KnownInTraining" >> beam.Map(_known_in_training, cuts)
        vocabulary = beam.pvalue.AsSingleton(
            _count_items(known, "Kept")
            | "WriteVocabulary" >> beam.Map(_write_vocabulary, vocabulary_dir)
        )
        _ = (
            partitions
            | "WriteShards" >> beam.Map(_write_shard, vocabulary, cuts, sequences_dir)
            | "SumMeasures" >> beam.CombineGlobally(_sum_measures).without_defaults()
            | "WriteStatistics"
            >> beam.Map(_write_statistics, vocabulary, cuts, sequences_dir, config)
        )
    # After the run, not inside: an error raised in Beam reaches the user wrapped in its own.
    statistics = read_statistics(sequences_dir)
    if config.split == "global_time" and statistics.num_users > 0:
        valid, test = (read_histories(sequences_dir, name) for name in ("valid", "test"))
        global_time_split.check_targets_are_left(valid, test, statistics.removed)
    log.check_enough_is_left(statistics.num_users, statistics.num_items, statistics.removed, config)
    return statistics


def _partitions(pipeline: beam.Pipeline, examples_dir: str) -> beam.PCollection:
    files = sorted(tf.io.gfile.glob(os.path.join(examples_dir, "*.gz")))
    return (
        pipeline
        | "Files" >> beam.Create(files)
        | "SpreadFiles" >> beam.Reshuffle()
        | "ReadBlocks" >> beam.FlatMap(_read_blocks)
        | "GroupByPartition" >> beam.GroupByKey()
        | "RemoveDuplicates" >> beam.MapTuple(_remove_duplicates)
    )


def _count_items(partitions: beam.PCollection, name: str) -> beam.PCollection:
    return (
        partitions
        | f"CountItems{name}" >> beam.Map(_item_counts)
        | f"MergeCounts{name}" >> beam.CombineGlobally(log.merge_counts)
    )


def _time_cuts(
    pipeline: beam.Pipeline, partitions: beam.PCollection, config: DataConfig
) -> beam.PCollection:
    """The one `TimeCuts` of a global time split; None for leave-one-out."""
    if config.split == "leave_one_out":
        return pipeline | "NoTimeCuts" >> beam.Create([None])
    return (
        partitions
        | "CountTimes" >> beam.Map(_time_counts)
        | "MergeTimeCounts" >> beam.CombineGlobally(global_time_split.merge_time_counts)
        | "FindTimeCuts"
        >> beam.Map(
            global_time_split.find_time_cuts,
            valid_time_share=config.valid_time_share,
            test_time_share=config.test_time_share,
        )
    )


def _time_counts(partition: _Partition) -> global_time_split.TimeCounts:
    return global_time_split.count_times(partition.interactions["timestamp"].to_numpy())


def _known_in_training(partition: _Partition, cuts: TimeCuts | None) -> _Partition:
    """The interactions whose items make the vocabulary: all, unless a cut hides the future."""
    if cuts is None:
        return partition
    interactions = global_time_split.training_interactions(partition.interactions, cuts)
    return partition._replace(interactions=interactions)


def _item_counts(partition: _Partition) -> log.KeyCounts:
    return log.count_keys(partition.interactions["item_id"])


def _read_blocks(path: str) -> Iterator[tuple[int, pa.Table]]:
    """Blocks of one TFRecord file, cut by partition."""
    decoder = example_coder.ExamplesToRecordBatchDecoder()
    for serialized in tf.data.TFRecordDataset(path, "GZIP").batch(_BLOCK_ROWS):
        batch = decoder.DecodeBatch(serialized.numpy())
        columns = [
            batch.column(batch.schema.names.index(field.name)).flatten().cast(field.type)
            for field in log.LOG_SCHEMA
        ]
        block = pa.table(columns, schema=log.LOG_SCHEMA)
        shards = log.partition_users(columns[0], _NUM_SHARDS)
        # Empty blocks, too: a partition without users still writes its shard.
        for shard in range(_NUM_SHARDS):
            yield shard, block.take(np.flatnonzero(shards == shard))


def _remove_duplicates(shard: int, blocks: Iterable[pa.Table]) -> _Partition:
    filtered = log.remove_duplicates(pa.concat_tables(blocks))
    removed = {"duplicate_interactions": filtered.num_interactions}
    return _Partition(shard, filtered.interactions, removed)


def _filter(partition: _Partition, item_counts: log.KeyCounts, config: DataConfig) -> _Partition:
    items = log.filter_min_counts(
        partition.interactions, "item_id", item_counts, config.min_item_interactions
    )
    user_counts = log.count_keys(items.interactions["user_id"])
    users = log.filter_min_counts(
        items.interactions, "user_id", user_counts, config.min_user_interactions
    )
    removed = {
        **partition.removed,
        "interactions_of_rare_items": items.num_interactions,
        "users_with_short_histories": users.num_keys,
        "interactions_of_short_histories": users.num_interactions,
    }
    return _Partition(partition.shard, log.order_by_time(users.interactions), removed)


def _write_vocabulary(counts: log.KeyCounts, vocabulary_dir: str) -> ItemVocabulary:
    vocabulary = ItemVocabulary.from_counts(*counts)
    vocabulary.write(os.path.join(vocabulary_dir, VOCABULARY_FILE))
    return vocabulary


def _write_shard(
    partition: _Partition, vocabulary: ItemVocabulary, cuts: TimeCuts | None, sequences_dir: str
) -> _Measures:
    histories = log.to_histories(partition.interactions, vocabulary)
    splits, removed = _split(histories, partition.interactions, cuts)
    shard = f"part-{partition.shard:05d}-of-{_NUM_SHARDS:05d}.gz"
    for name, split in splits._asdict().items():
        _write_histories(os.path.join(_split_dir(sequences_dir, name), shard), split)
    return _Measures(
        num_users=histories.num_users,
        num_interactions=len(histories.item_ids),
        num_train_interactions=len(splits.train.item_ids),
        num_repeats=log.count_repeats(splits.train),
        digest=log.digest_histories(histories),
        removed={**partition.removed, **removed},
    )


def _split(
    histories: Histories, interactions: pa.Table, cuts: TimeCuts | None
) -> tuple[log.Splits, dict[str, int]]:
    if cuts is None:
        return log.split_leave_one_out(histories), {}
    return global_time_split.split_global_time(
        histories, interactions["timestamp"].to_numpy(), cuts
    )


def _write_histories(path: str, histories: Histories) -> None:
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for user, (key, target) in enumerate(
            zip(histories.user_keys, histories.targets, strict=True)
        ):
            writer.write(serialize_history(key, histories.history(user), target))


def _sum_measures(shards: Iterable[_Measures]) -> _Measures:
    parts = list(shards)
    names = sorted({name for part in parts for name in part.removed})
    return _Measures(
        num_users=sum(part.num_users for part in parts),
        num_interactions=sum(part.num_interactions for part in parts),
        num_train_interactions=sum(part.num_train_interactions for part in parts),
        num_repeats=sum(part.num_repeats for part in parts),
        digest=log.add_digests(part.digest for part in parts),
        removed={name: sum(part.removed[name] for part in parts) for name in names},
    )


def _write_statistics(
    measures: _Measures,
    vocabulary: ItemVocabulary,
    cuts: TimeCuts | None,
    sequences_dir: str,
    config: DataConfig,
) -> None:
    share = log.repeat_share(measures.num_repeats, measures.num_train_interactions)
    statistics = SequenceStatistics(
        num_users=measures.num_users,
        num_items=vocabulary.num_items,
        num_interactions=measures.num_interactions,
        removed=measures.removed,
        repeat_share=share,
        seen=log.resolve_seen(config.seen, share, config.max_repeat_share),
        max_length=config.max_length,
        data_fingerprint=log.data_fingerprint(measures.digest, vocabulary, cuts or ()),
    )
    write_statistics(sequences_dir, statistics)


def _split_dir(sequences_dir: str, split: str) -> str:
    return os.path.join(sequences_dir, f"Split-{split}")
