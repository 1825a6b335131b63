"""Event types: which interactions stay by what they are (views, purchases).

The filter comes first of all: whatever follows sees a log that never had the other rows.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.config import DataConfig
from adarec_tf.data.coded_log import LOG_SCHEMA
from adarec_tf.data.interactions import EVENT_FIELD

# The columns of a log from which `select_events` selects.
EVENT_LOG_SCHEMA = LOG_SCHEMA.append(EVENT_FIELD)
# An error names the most frequent types, and says that there are more.
_MAX_TYPES_SHOWN = 20


class EventOptions(NamedTuple):
    """What becomes of the event types of a log.

    Attributes:
      ranks: by event type, 1 for those that stay and 0 for those that go; empty: no type is asked
        for.
      num_removed: the rows of the log that go.
    """

    ranks: Mapping[str, int] = {}
    num_removed: int = 0

    @property
    def is_any_in_use(self) -> bool:
        """Whether something is done at all."""
        return bool(self.ranks)

    @property
    def removed(self) -> dict[str, int]:
        """What goes, by name; nothing where no type is asked for."""
        return {"interactions_of_other_events": self.num_removed} if self.is_any_in_use else {}


NO_EVENTS = EventOptions()


def resolve_events(config: DataConfig, event_counts: Mapping[str, int]) -> EventOptions:
    """What a config makes of the event types that a log has.

    Args:
      config: names the types that stay.
      event_counts: the rows of each type (`LogSummary.event_counts`).

    Raises:
      ValueError: the log has no event of a type named.
    """
    if not config.events:
        return NO_EVENTS
    _check_types("events", config.events, event_counts)
    ranks = {event: int(event in config.events) for event in event_counts}
    removed = [count for event, count in event_counts.items() if ranks[event] == 0]
    return EventOptions(ranks, sum(removed))


def select_events(block: pa.Table, options: EventOptions) -> pa.Table:
    """The rows that stay.

    Args:
      block: `EVENT_LOG_SCHEMA`, in any order of the columns.
      options: with every event type of the block.

    Returns:
      `coded_log.LOG_SCHEMA`.
    """
    ranks = np.concatenate([np.empty(0, np.int16), *_chunk_ranks(block["event"], options.ranks)])
    return block.select(LOG_SCHEMA.names).filter(pa.array(ranks > 0))


def _chunk_ranks(events: pa.ChunkedArray, ranks: Mapping[str, int]) -> list[np.ndarray]:
    """int16 [N] of each chunk: one look at each type, and not at each row."""
    return [
        np.array([ranks[event] for event in chunk.dictionary.to_pylist()], np.int16)[
            chunk.indices.to_numpy()
        ]
        for chunk in events.chunks
    ]


def _check_types(name: str, types: Sequence[str], event_counts: Mapping[str, int]) -> None:
    unknown = [event for event in types if event not in event_counts]
    if unknown:
        known = sorted(event_counts, key=lambda event: (-event_counts[event], event))
        shown = ", ".join(
            f"{event!r} ({event_counts[event]:,})" for event in known[:_MAX_TYPES_SHOWN]
        )
        more = f" and {len(known) - _MAX_TYPES_SHOWN} more" if len(known) > _MAX_TYPES_SHOWN else ""
        raise ValueError(
            f"`{name}` should name event types of the log, which are {shown}{more}. "
            f"Received: {', '.join(map(repr, unknown))}."
        )
