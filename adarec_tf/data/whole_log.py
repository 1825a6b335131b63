"""A whole log in memory, filtered as the pipeline's preprocessor filters it part by part."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.histories import global_time_split, session_time_split
from adarec_tf.data.histories.history_options import (
    HistoryOptions,
    check_time_unit,
    shape_histories,
)
from adarec_tf.data.histories.k_core import UserPairs, is_kept, k_core_filter
from adarec_tf.data.histories.value_counts import count_values
from adarec_tf.data.log.encoded import distinct_keys, encode_items, order_by_time
from adarec_tf.data.log.events import resolve_events, select_events
from adarec_tf.data.log.interactions import (
    InteractionColumns,
    inspect_log,
    read_interactions,
)
from adarec_tf.data.log.spans import list_log_files

_ALL_SPANS = SpansConfig()


class FilteredInteractions(NamedTuple):
    """What the filters left.

    Attributes:
      interactions: `encoded.ORDERED_SCHEMA`, in the order of histories.
      user_keys: string [U], of users or sessions, by code; also those of whom nothing is left.
      item_keys: string [V], by item code, likewise.
    """

    interactions: pa.Table
    user_keys: pa.Array
    item_keys: pa.Array


def load_interactions(
    path: str, config: DataConfig, spans: SpansConfig = _ALL_SPANS
) -> FilteredInteractions:
    """Reads a log and applies the filters.

    Args:
      path: a file or folder, or a pattern of daily folders.
      config: columns, events, minimum counts and rounds.
      spans: which daily folders are read.

    Raises:
      InteractionsError: the log cannot be read, or a row of it is bad.
      SpanError: daily folders cannot be chosen.
      ValueError: there is no event of a type named, or times are in another unit.
    """
    columns = InteractionColumns.of_config(config)
    files = list_log_files(path, spans)
    summary = inspect_log(files, columns)
    check_time_unit(config, summary.largest_time)
    events = resolve_events(config, summary.event_counts)
    time_scale = summary.time_scale
    options = HistoryOptions.of_config(config, time_scale)
    table = pa.Table.from_batches(
        batch for file in files for batch in read_interactions(file, columns, time_scale=time_scale)
    )
    table = table.append_column("arrival", pa.array(np.arange(len(table)), pa.int64()))
    table = select_events(table, events) if events.is_any_in_use else table
    user_keys, item_keys = (distinct_keys(table[name].chunks) for name in ("user_id", "item_id"))
    ordered = order_by_time(encode_items(table, item_keys), user_keys).interactions
    interactions, user_keys, _ = shape_histories(ordered, user_keys, options)
    users, items = (interactions[name].to_numpy() for name in ("user", "item"))
    core = k_core_filter(
        [UserPairs(len(user_keys), lambda: [(users, items)])],
        len(item_keys),
        min_user_interactions=config.min_user_interactions,
        min_item_interactions=config.min_item_interactions,
        rounds=config.k_core_rounds,
    )
    mask = is_kept(users, items, core.users[0], core.items)
    return FilteredInteractions(interactions.filter(pa.array(mask)), user_keys, item_keys)


def count_items(path: str, config: DataConfig, spans: SpansConfig = _ALL_SPANS) -> int:
    """How many items the vocabulary of a log has; errors as `load_interactions`."""
    interactions = load_interactions(path, config, spans).interactions
    if config.split == "global_time":
        cuts = global_time_split.find_time_cuts(
            count_values(interactions["timestamp"].to_numpy()), config.test_time_share
        )
        split = session_time_split if config.has_sessions else global_time_split
        interactions = split.training_interactions(interactions, cuts)
    return len(np.unique(interactions["item"].to_numpy()))
