"""The last steps of the sequence preprocessor: shards, and what is counted of them.

Functions of references to files (`block_files`), for `beam.Map`.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories import global_time_split, session_time_split
from adarec_tf.data.histories import splits as log
from adarec_tf.data.histories.global_time_split import TimeCuts
from adarec_tf.data.histories.histories import SequenceStatistics, write_statistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.events import EventOptions
from adarec_tf.data.storage import user_partitions
from adarec_tf.data.storage.arrow_files import PartRef, read_part
from adarec_tf.data.storage.history_files import write_shard
from adarec_tf.data.storage.manifest import Shard, write_manifest
from adarec_tf.data.storage.user_partitions import Partition
from components.artifacts import VOCABULARY_FILE
from components.preprocessing_steps import Kept, kept_chunks, read_keys


class _Measures(NamedTuple):
    """What is counted of a shard; sums over shards describe the whole."""

    num_users: int
    num_interactions: int
    num_train_interactions: int
    num_repeats: int
    digest: int
    removed: dict[str, int]


class WrittenShards(NamedTuple):
    """The shards of a partition."""

    measures: _Measures
    shards: list[Shard]


def write_shards(
    partition: Partition,
    kept: Kept,
    item_ids: PartRef,
    cuts: TimeCuts | None,
    sequences_dir: str,
    num_partitions: int,
    scratch: str,
    config: DataConfig,
) -> WrittenShards:
    """Splits the histories of a partition and writes a shard of each split."""
    measures: list[_Measures] = []

    def parts() -> Iterator[log.Splits]:
        keys, ids = read_keys(partition.keys), read_part(item_ids)["item_id"].to_numpy()
        for interactions in user_partitions.read_whole_users(kept_chunks(partition, kept)):
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
            yield splits

    shards = write_shard(sequences_dir, partition.number, num_partitions, parts(), scratch)
    before = _NOTHING._replace(removed=partition.removed)
    return WrittenShards(_sum_measures([before, *measures]), shards)


_NOTHING = _Measures(0, 0, 0, 0, 0, {})


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


def write_summary(
    written: list[WrittenShards],
    kept: Kept,
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
    statistics = SequenceStatistics(
        num_users=measures.num_users,
        num_items=vocabulary.num_items,
        num_interactions=measures.num_interactions,
        removed=events.removed | measures.removed | kept.removed,
        repeat_share=share,
        seen=log.resolve_seen(config.seen, share, config.max_repeat_share),
        max_length=config.max_length,
        data_fingerprint=log.data_fingerprint(measures.digest, vocabulary, cuts or ()),
    )
    write_statistics(sequences_dir, statistics)
    write_manifest(sequences_dir, (shard for part in written for shard in part.shards))
