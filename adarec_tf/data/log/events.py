"""Event types: which interactions stay by what they are (views, purchases), and which weigh more.

The filter comes first of all: whatever follows sees a log that never had the other rows. Weights
are compared and never added, so that only their order matters: interactions carry its ranks.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.config.data import DataConfig
from adarec_tf.data.log.encoded import LOG_SCHEMA, WEIGHT_FIELD
from adarec_tf.data.log.interactions import EVENT_FIELD

# The columns of a log from which `select_events` selects.
EVENT_LOG_SCHEMA = LOG_SCHEMA.append(EVENT_FIELD)
# An error names the most frequent types, and says that there are more.
_MAX_TYPES_SHOWN = 20
# What `EventOptions.removed` counts.
OTHER_EVENTS = "interactions_of_other_events"


class EventOptions(NamedTuple):
    """What becomes of the event types of a log.

    Attributes:
      ranks: by event type, 0 for those that go, from 1 on for those that stay: the place of their
        weight among all weights; empty: no type is asked for.
      removed: the rows of the log that go, by reason; empty: no type is asked for.
    """

    ranks: Mapping[str, int] = {}
    removed: Mapping[str, int] = {}

    @property
    def is_any_in_use(self) -> bool:
        """Whether something is done at all."""
        return bool(self.ranks)

    @property
    def has_weights(self) -> bool:
        """Whether some of the types that stay weigh more than others."""
        return max(self.ranks.values(), default=0) > 1


NO_EVENTS = EventOptions()


def resolve_events(config: DataConfig, event_counts: Mapping[str, int]) -> EventOptions:
    """What a config makes of the event types that a log has.

    Args:
      config: names the types that stay, and weighs them.
      event_counts: the rows of each type (`LogSummary.event_counts`).

    Raises:
      ValueError: the log has no event of a type named.
    """
    given = config.event_weights
    if not config.events and not given:
        return NO_EVENTS
    _check_types("events", config.events, event_counts)
    _check_types("event_weights", list(given), event_counts)
    weights = {event: given.get(event, 1.0) for event in config.events or event_counts}
    order = [0.0, *sorted({weight for weight in weights.values() if weight > 0})]
    ranks = {event: order.index(weights.get(event, 0.0)) for event in event_counts}
    num_removed = sum(count for event, count in event_counts.items() if ranks[event] == 0)
    return EventOptions(ranks, {OTHER_EVENTS: num_removed})


def select_events(block: pa.Table, options: EventOptions) -> pa.Table:
    """The rows that stay.

    Args:
      block: `EVENT_LOG_SCHEMA`, in any order of the columns; `LOG_SCHEMA` if no type is asked for.
      options: with every event type of the block.

    Returns:
      `encoded.LOG_SCHEMA`, with `WEIGHT_FIELD` if some of the types weigh more than others.
    """
    log = block.select(LOG_SCHEMA.names)
    if not options.is_any_in_use:
        return log
    places = pc.index_in(block["event"].cast(pa.string()), pa.array(options.ranks, pa.string()))
    ranks = np.array([*options.ranks.values()], np.int16)[places.to_numpy()]
    if options.has_weights:
        log = log.append_column(WEIGHT_FIELD, pa.array(ranks))
    return log.filter(pa.array(ranks > 0))


def _check_types(name: str, types: Sequence[str], event_counts: Mapping[str, int]) -> None:
    unknown = ", ".join(repr(event) for event in types if event not in event_counts)
    if unknown:
        known = sorted(event_counts.items(), key=lambda pair: (-pair[1], pair[0]))
        shown = ", ".join(f"{event!r} ({count:,})" for event, count in known[:_MAX_TYPES_SHOWN])
        more = f" and {len(known) - _MAX_TYPES_SHOWN} more" if len(known) > _MAX_TYPES_SHOWN else ""
        raise ValueError(
            f"`{name}` should name event types of the log, which are {shown}{more}. "
            f"Received: {unknown}."
        )
