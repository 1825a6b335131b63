"""The named options that say what a history is: sessions, and which repeats stay.

They are applied to whole users, before the minimum counts, which hold for what is left of each
history. `shape_histories` does it for a table, `shape_partition` for a partition on disk.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.repeats import drop_repeats
from adarec_tf.data.histories.sessions import cut_sessions
from adarec_tf.data.storage.arrow_files import read_part, read_parts, write_tables
from adarec_tf.data.storage.user_partitions import Partition, cut_chunks, read_whole_users

_SECONDS_PER_YEAR = 365.2425 * 24 * 3600
# No log is so far from 1970; in their own unit, times lie within the second bound.
_MAX_YEARS = 500
_PLAUSIBLE_YEARS = 130


class HistoryOptions(NamedTuple):
    """What is done to the interactions of each user, in this order.

    Attributes:
      session_gap: the gap that ends a session, in the unit of the timestamps; 0 cuts nothing.
      repeats: which repeats of an item in a history stay, one of `DataConfig.choices("repeats")`.
    """

    session_gap: float
    repeats: str

    @classmethod
    def of_config(cls, config: DataConfig, time_scale: int) -> "HistoryOptions":
        """The options of a config; `time_scale` is `LogSummary.time_scale` of the log."""
        units = DataConfig.UNITS_PER_SECOND[config.time_unit] * time_scale
        return cls(config.session_gap_seconds * units, config.repeats)

    @property
    def is_any_in_use(self) -> bool:
        """Whether something is done at all."""
        return self.session_gap > 0 or self.repeats != "keep"


def check_time_unit(config: DataConfig, largest_time: float) -> None:
    """Refuses a unit of time in which a log is centuries off: a gap would cut nowhere.

    Args:
      config: says whether there is a gap, and the unit.
      largest_time: `LogSummary.largest_time` of the log.

    Raises:
      ValueError: there are sessions, and times in another unit than the config says.
    """
    years = {
        unit: largest_time / per_second / _SECONDS_PER_YEAR
        for unit, per_second in DataConfig.UNITS_PER_SECOND.items()
    }
    if not config.has_sessions or years[config.time_unit] <= _MAX_YEARS:
        return
    fits = [f"{years[unit]:,.0f} in {unit}" for unit in years if years[unit] <= _PLAUSIBLE_YEARS]
    raise ValueError(
        f"`time_unit` should be that of the log's times, which go {years[config.time_unit]:,.0f} "
        f"years from 1970 in {config.time_unit}, {fits[0] if fits else 'and far in each unit'}. "
        f"Received: time_unit={config.time_unit!r}."
    )


class ShapedLog(NamedTuple):
    """Interactions after the options.

    Attributes:
      interactions: `encoded.ORDERED_SCHEMA`, in the order of histories.
      keys: string [U], by user code: of users, or of sessions.
      removed: what went, by option; nothing of options that are not in use.
    """

    interactions: pa.Table
    keys: pa.Array
    removed: dict[str, int]


def shape_histories(
    interactions: pa.Table, user_keys: pa.Array, options: HistoryOptions
) -> ShapedLog:
    """Applies the options to the interactions of whole users.

    Args:
      interactions: `encoded.ORDERED_SCHEMA`, in the order of histories.
      user_keys: string [U], by user code.
      options: what to do.
    """
    removed, keys = {}, user_keys
    if options.session_gap > 0:
        interactions, keys = cut_sessions(interactions, user_keys, options.session_gap)
    if options.repeats != "keep":
        num_before = len(interactions)
        interactions = drop_repeats(interactions, options.repeats)
        removed["repeated_interactions"] = num_before - len(interactions)
    return ShapedLog(interactions, keys, removed)


def shape_partition(partition: Partition, folder: str, options: HistoryOptions) -> Partition:
    """Applies the options to a partition.

    Args:
      partition: in the order of histories.
      folder: gets the result.
      options: what to do.
    """
    user_keys = read_part(partition.keys)["user_id"].combine_chunks()
    keys, removed = [], Counter(partition.removed)
    if options.session_gap == 0:
        keys.append(user_keys)

    def tables() -> Iterator[pa.Table]:
        for table in read_whole_users(read_parts(partition.chunks)):
            shaped = shape_histories(table, user_keys, options)
            removed.update(shaped.removed)
            if options.session_gap > 0:
                yield _renumbered(shaped.interactions, sum(map(len, keys)))
                keys.append(shaped.keys)
            else:
                yield shaped.interactions

    name = os.path.join(folder, f"partition-{partition.number:05d}")
    chunks = write_tables(f"{name}-shaped", cut_chunks(tables()))
    all_keys = pa.chunked_array(keys, pa.string()).combine_chunks()
    [keys_ref] = write_tables(f"{name}-keys", [pa.table({"user_id": all_keys})])
    return Partition(partition.number, keys_ref, tuple(chunks), dict(removed))


def _renumbered(interactions: pa.Table, first: int) -> pa.Table:
    """The same with user codes from another number on."""
    codes = pc.add(interactions["user"], pa.scalar(first, pa.int32()))
    return interactions.set_column(0, interactions.schema.field("user"), codes)
