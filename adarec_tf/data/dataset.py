"""`Dataset`: a log as split histories with their vocabulary, in one call and in this process.

The pipeline's components do the same on Beam, a partition at a time, by the same functions
(`histories.preprocessing`); what both write is the same to the byte.
"""

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.histories.histories import Histories, join_histories
from adarec_tf.data.histories.k_core import UserPairs, k_core_filter, keep
from adarec_tf.data.histories.preprocessing import (
    UserPart,
    count_vocabulary_items,
    order_part,
    split_part,
)
from adarec_tf.data.histories.sessions import check_time_unit
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.histories.statistics import (
    SequenceStatistics,
    add_counts,
    check_enough_is_left,
    summarize,
)
from adarec_tf.data.histories.time_split import find_time_cuts
from adarec_tf.data.histories.value_counts import count_values, merge_counts
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.encoded import count_partitions, cut_by_user, distinct_keys, encode_items
from adarec_tf.data.log.events import resolve_events, select_events
from adarec_tf.data.log.interactions import inspect_log, read_interactions
from adarec_tf.data.log.readers import InteractionColumns, to_table
from adarec_tf.data.log.spans import list_log_files
from adarec_tf.data.storage.history_files import (
    SPLITS,
    write_manifest,
    write_shard,
    write_statistics,
)

VOCABULARY_FILE = "vocabulary.txt"
_ALL_SPANS = SpansConfig()


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A log as split histories, with the vocabulary of its items.

    Examples:
        >>> import pyarrow as pa
        >>> times = [*range(4), *range(3)]
        >>> log = pa.table({"user_id": [*"uuuuvvv"], "item_id": [*"abcdbca"], "timestamp": times})
        >>> dataset = Dataset.from_interactions(log, max_length=10)
        >>> dataset.vocabulary.keys
        ('a', 'b', 'c', 'd')
        >>> dataset.vocabulary.decode(dataset.test.history(0)), int(dataset.test.targets[0])
        (['b', 'c'], 1)

    Attributes:
      splits: the histories: train to learn from, valid to select on, test to test on.
      vocabulary: the items, in id order.
      statistics: what was counted, removed by the filters, and decided; of all users.
      shard_sizes: int64 [S, 3], the number of histories of each split in each shard of `write`.
    """

    splits: Splits
    vocabulary: ItemVocabulary
    statistics: SequenceStatistics
    shard_sizes: np.ndarray

    @classmethod
    def from_interactions(
        cls,
        source: Any,
        *,
        user: str = "user_id",
        item: str = "item_id",
        time: str = "timestamp",
        **options: Any,
    ) -> "Dataset":
        """Filters, orders and splits a log.

        Args:
          source: a file (CSV, TSV, Parquet or TFRecord), a folder of files, or a pattern of daily
            folders such as `logs/{YYYY}-{MM}-{DD}/*`; or a table of pandas, polars or pyarrow.
          user: the column that says who.
          item: the column that says what.
          time: the column that says when.
          **options: other fields of `DataConfig`, such as `min_item_interactions=5`.

        Returns:
          Train, valid and test histories with the vocabulary of their items.

        Raises:
          ValueError: the source cannot be read, a column is missing, a row is bad, an option has a
            wrong value, or too little is left after the filters.
        """
        config = DataConfig(user_column=user, item_column=item, time_column=time, **options)
        return cls.from_config(source, config)

    @classmethod
    def from_config(
        cls,
        source: Any,
        config: DataConfig,
        spans: SpansConfig = _ALL_SPANS,
        previous_vocabulary: ItemVocabulary | None = None,
    ) -> "Dataset":
        """Filters, orders and splits a log, as `from_interactions` does.

        Args:
          source: files or a table.
          config: columns, filters, and how to split.
          spans: which daily folders are read.
          previous_vocabulary: items that keep their ids.

        Returns:
          Train, valid and test histories with the vocabulary of their items.

        Raises:
          ValueError: the source cannot be read, a column is missing, a row is bad, or too little
            is left after the filters.
        """
        return cls.from_ordered(order_log(source, config, spans), config, previous_vocabulary)

    @classmethod
    def from_ordered(
        cls,
        log: "OrderedLog",
        config: DataConfig,
        previous_vocabulary: ItemVocabulary | None = None,
    ) -> "Dataset":
        """Filters and splits a log that is ordered already.

        Args:
          log: from `order_log`, by a config of the same columns, events, sessions and repeats.
          config: filters, and how to split.
          previous_vocabulary: items that keep their ids.

        Returns:
          Train, valid and test histories with the vocabulary of their items.

        Raises:
          ValueError: too little is left after the filters.
        """
        known = previous_vocabulary or ItemVocabulary(())
        dataset = _split(log, known, config)
        num_valid, num_test = dataset.valid.num_users, dataset.test.num_users
        check_enough_is_left(dataset.statistics, num_valid, num_test, config)
        return dataset

    @property
    def train(self) -> Histories:
        """Histories to learn from, without targets."""
        return self.splits.train

    @property
    def valid(self) -> Histories:
        """Histories with a target, to select on."""
        return self.splits.valid

    @property
    def test(self) -> Histories:
        """Histories with a target, to test on."""
        return self.splits.test

    @property
    def num_items(self) -> int:
        """Items of the vocabulary; ids run from 1 to this."""
        return self.vocabulary.num_items

    @property
    def max_length(self) -> int:
        """Items of a history that a model sees."""
        return self.statistics.max_length

    @property
    def seen(self) -> str:
        """`exclude` or `keep`: whether items of the history are candidates."""
        return self.statistics.seen

    def take_users(self, num: int) -> "Dataset":
        """A dataset of some users, the same ones in every split and at every call.

        Args:
          num: how many users (histories, where they are sessions); 0 takes all.

        Returns:
          Their histories, with the vocabulary of all users. The statistics are those of all
          users, but for the number of users and the fingerprint.
        """
        if num == 0:
            return self
        keys = np.unique(np.concatenate([split.user_keys for split in self.splits]))
        chosen = np.random.default_rng(0).permutation(keys)[:num]
        rows = [np.flatnonzero(np.isin(split.user_keys, chosen)) for split in self.splits]
        ends = np.cumsum(self.shard_sizes, axis=0)
        stops = [np.searchsorted(taken, end) for taken, end in zip(rows, ends.T, strict=True)]
        fingerprint = f"{self.statistics.data_fingerprint}, {len(chosen)} users"
        return Dataset(
            Splits(*(split.take(taken) for split, taken in zip(self.splits, rows, strict=True))),
            self.vocabulary,
            dataclasses.replace(
                self.statistics,
                num_users=len(chosen),
                data_fingerprint=hashlib.sha256(fingerprint.encode()).hexdigest(),
            ),
            np.diff(np.stack(stops, axis=1), axis=0, prepend=0),
        )

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Writes histories, manifest, statistics and vocabulary, as the pipeline does.

        Args:
          folder: is made if it is not there; files of these names are replaced.
        """
        folder = os.fspath(folder)
        for split in SPLITS:
            os.makedirs(os.path.join(folder, f"Split-{split}"), exist_ok=True)
        stops = np.cumsum(self.shard_sizes, axis=0)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            shards = []
            for number, (stop, size) in enumerate(zip(stops, self.shard_sizes, strict=True)):
                parts = (
                    split.take(np.arange(end - length, end))
                    for split, end, length in zip(self.splits, stop, size, strict=True)
                )
                shards += write_shard(folder, number, len(stops), Splits(*parts), scratch)
        write_manifest(folder, shards)
        write_statistics(folder, self.statistics)
        self.vocabulary.write(os.path.join(folder, VOCABULARY_FILE))


class OrderedLog(NamedTuple):
    """A log in the order of histories, before anything rare is taken out.

    Attributes:
      parts: each with some of the users.
      item_keys: string [V], by item code, in the order of their UTF-8 bytes.
      removed: how many rows are gone, by reason.
      time_scale: what the log's times were multiplied by.
    """

    parts: list[UserPart]
    item_keys: pa.Array
    removed: Mapping[str, int]
    time_scale: int


def order_log(source: Any, config: DataConfig, spans: SpansConfig = _ALL_SPANS) -> OrderedLog:
    """Reads and checks a log, chooses its events, and orders it by user and time.

    Args:
      source: files or a table.
      config: columns, events, sessions and repeats.
      spans: which daily folders are read.

    Raises:
      ValueError: the source cannot be read, a column is missing, or a row is bad.
    """
    columns = InteractionColumns.of_config(config)
    is_path = isinstance(source, str | os.PathLike)
    files = list_log_files(os.fspath(source), spans) if is_path else [to_table(source)]
    summary = inspect_log(files, columns)
    check_time_unit(config, summary.largest_time)
    log = pa.Table.from_batches(
        batch
        for file in files
        for batch in read_interactions(file, columns, time_scale=summary.time_scale)
    )
    log = log.append_column("arrival", pa.array(np.arange(len(log))))
    events = resolve_events(config, summary.event_counts)
    selected = select_events(log, events)
    item_keys = distinct_keys(selected["item_id"].chunks)
    blocks = cut_by_user(encode_items(selected, item_keys), count_partitions(len(log)))
    parts = [order_part(block, config, summary.time_scale) for block in blocks]
    return OrderedLog(parts, item_keys, events.removed, summary.time_scale)


def _split(log: OrderedLog, known: ItemVocabulary, config: DataConfig) -> Dataset:
    """What the Beam steps do from ordered parts of the users on, with all of them in memory."""
    parts, item_keys = log.parts, log.item_keys
    core = k_core_filter(
        [_pairs(part) for part in parts],
        len(item_keys),
        min_user_interactions=config.min_user_interactions,
        min_item_interactions=config.min_item_interactions,
        rounds=config.k_core_rounds,
    )
    kept = [
        keep(part.interactions, users, core.items)
        for part, users in zip(parts, core.users, strict=True)
    ]
    cuts = None
    if config.split == "global_time":
        times = merge_counts(count_values(part["timestamp"].to_numpy()) for part in kept)
        cuts = find_time_cuts(times, config.test_time_share)
    counts = merge_counts(count_vocabulary_items(part, cuts, config) for part in kept)
    keys = item_keys.take(pa.array(counts.values))
    vocabulary = known.extended(keys, counts.counts)
    item_ids = vocabulary.encode(item_keys)
    split = [
        split_part(interactions, part.keys, item_ids, cuts, config)
        for interactions, part in zip(kept, parts, strict=True)
    ]
    all_removed = [log.removed, core.removed, *(part.removed for part in parts)]
    all_removed += [part.removed for part in split]
    return Dataset(
        Splits(*map(join_histories, zip(*(part.splits for part in split), strict=True))),
        vocabulary,
        summarize(
            add_counts(part.counts for part in split),
            add_counts(all_removed),
            vocabulary,
            cuts or (),
            config,
        ),
        np.array([[histories.num_users for histories in part.splits] for part in split]),
    )


def _pairs(part: UserPart) -> UserPairs:
    return UserPairs(len(part.keys), lambda: part.interactions)
