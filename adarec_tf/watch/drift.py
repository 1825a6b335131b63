"""What the events of a period are like, compared with those before it."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import jensenshannon

from adarec_tf.watch.scene_events import SceneEvents

_HOURS_PER_DAY, _SECONDS_PER_HOUR = 24, 3600


class EventStatistics(NamedTuple):
    """The events of a period, compared with those before it.

    Attributes:
      popularity: Jensen-Shannon divergence of how often items are met, in bits: 0 is the same, 1
        has no item in common.
      unknown_items: share of the period's items that are unknown.
      unknown_interactions: share of its interactions that are with these.
      interactions_per_user: of the users of the period.
      repeats: share of the interactions whose item the user had met before.
      hours: Jensen-Shannon divergence of the hours of the day (UTC); None where times are no dates.
    """

    popularity: float
    unknown_items: float
    unknown_interactions: float
    interactions_per_user: float
    repeats: float
    hours: float | None


def event_statistics(
    events: SceneEvents,
    is_before: np.ndarray,
    is_in: np.ndarray,
    is_known: np.ndarray,
    units_per_second: float | None,
) -> EventStatistics:
    """Compares a period with what came before it.

    Args:
      events: of the whole log.
      is_before: bool [N].
      is_in: bool [N], one event or more.
      is_known: bool [V], of each item.
      units_per_second: of the times; None where they are no dates.
    """
    counts = [_counts(events.items[period] - 1, events.num_items) for period in (is_before, is_in)]
    unknown = ~is_known
    return EventStatistics(
        popularity=_divergence(*counts),
        unknown_items=float(unknown[counts[1] > 0].mean()),
        unknown_interactions=float(counts[1][unknown].sum() / counts[1].sum()),
        interactions_per_user=float(is_in.sum() / len(np.unique(events.users[is_in]))),
        repeats=float(_is_repeat(events)[is_in].mean()),
        hours=None
        if units_per_second is None
        else _divergence(
            *(_hours(events.times[period], units_per_second) for period in (is_before, is_in))
        ),
    )


def _counts(values: np.ndarray, num_values: int) -> np.ndarray:
    return np.bincount(values, minlength=num_values).astype(np.float64)


def _hours(times: np.ndarray, units_per_second: float) -> np.ndarray:
    hours = times // int(units_per_second * _SECONDS_PER_HOUR) % _HOURS_PER_DAY
    return _counts(hours, _HOURS_PER_DAY)


def _divergence(counts: np.ndarray, others: np.ndarray) -> float:
    return float(jensenshannon(counts, others, base=2)) ** 2


def _is_repeat(events: SceneEvents) -> np.ndarray:
    """Whether (bool [N]) the user has met the item before."""
    # The sort is stable, and events of a user are in the order of time.
    order = np.lexsort([events.items, events.users])
    users, items = events.users[order], events.items[order]
    is_repeat = np.zeros(len(order), bool)
    is_repeat[order[1:]] = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    return is_repeat
