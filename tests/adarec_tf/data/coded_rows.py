"""A few rows as the tables of a log."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.data.histories.value_counts import count_values
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.encoded import (
    LOG_SCHEMA,
    distinct_keys,
    encode_items,
    encode_users,
    order_by_time,
)
from adarec_tf.data.log.interactions import EVENT_FIELD

Row = tuple[str, str, int]
EventRow = tuple[str, str, int, str]


class CodedRows(NamedTuple):
    """Rows in the order of histories, and the keys of their codes."""

    interactions: pa.Table
    num_duplicates: int
    user_keys: pa.Array
    item_keys: pa.Array


def as_log(rows: list[Row]) -> pa.Table:
    """`LOG_SCHEMA`, with arrivals in the order of the rows."""
    users, items, times = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        [list(users), list(items), list(times), list(range(len(rows)))], schema=LOG_SCHEMA
    )


def as_event_log(rows: list[EventRow]) -> pa.Table:
    """The same with `EVENT_FIELD`, in chunks of three rows with event types of their own."""
    events = [row[3] for row in rows]
    chunks = [
        pa.array(events[start : start + 3], pa.string()).dictionary_encode()
        for start in range(0, len(rows), 3)
    ]
    column = pa.chunked_array(chunks, EVENT_FIELD.type)
    return as_log([row[:3] for row in rows]).append_column(EVENT_FIELD, column)


def coded(rows: list[Row]) -> CodedRows:
    """All steps up to the order of histories."""
    return coded_table(as_log(rows))


def coded_table(log: pa.Table) -> CodedRows:
    """The same of `LOG_SCHEMA`, maybe with weights."""
    user_keys, item_keys = (distinct_keys(log[name].chunks) for name in ("user_id", "item_id"))
    ordered = order_by_time(encode_users(encode_items(log, item_keys), user_keys))
    return CodedRows(ordered, len(log) - len(ordered), user_keys, item_keys)


def vocabulary_of(interactions: pa.Table, item_keys: pa.Array) -> ItemVocabulary:
    """Of the items in these interactions (`ORDERED_SCHEMA`)."""
    counts = count_values(np.asarray(interactions["item"]))
    return ItemVocabulary(()).extended(item_keys.take(pa.array(counts.values)), counts.counts)
