"""Sessions: a user's interactions, cut wherever nothing happened for long enough.

A session is a history of its own, under the key `<user>#<number>`, counted from 1 for each user in
the order of time. From here on it is what a user is elsewhere: minimum counts count its
interactions, and a split takes targets from it.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.config.data import DataConfig

_SECONDS_PER_YEAR = 365.2425 * 24 * 3600
# No log is so far from 1970; in their own unit, times lie within the second bound.
_MAX_YEARS = 500
_PLAUSIBLE_YEARS = 130


class Sessions(NamedTuple):
    """Interactions of sessions.

    Attributes:
      interactions: `encoded.ORDERED_SCHEMA`, whose `user` is the session, from 0.
      keys: string [S], the key of each session.
    """

    interactions: pa.Table
    keys: pa.Array


def cut_sessions(interactions: pa.Table, user_keys: pa.Array, gap: float) -> Sessions:
    """Begins a session with each user, and with each interaction after a longer gap.

    Args:
      interactions: `encoded.ORDERED_SCHEMA`, of whole users, in the order of histories.
      user_keys: string [U], by user code.
      gap: in the unit of the timestamps; a session goes on after a gap of exactly this.
    """
    users, times = (interactions[name].to_numpy() for name in ("user", "timestamp"))
    is_new_user = np.append(True, users[1:] != users[:-1])[: len(users)]
    # Unsigned, a difference of any two times in order has no overflow.
    is_after_gap = np.append(False, np.diff(times.view(np.uint64)) > gap)[: len(users)]
    is_start = is_new_user | is_after_gap
    owners, sessions = users[is_start], np.cumsum(is_start) - 1
    first_sessions = np.flatnonzero(is_new_user[is_start])
    first_of_user = np.repeat(first_sessions, np.diff(np.append(first_sessions, len(owners))))
    numbers = pa.array(np.arange(len(owners)) - first_of_user + 1).cast(pa.string())
    keys = pc.binary_join_element_wise(user_keys.take(pa.array(owners)), numbers, "#")
    codes = pa.array(sessions.astype(np.int32))
    return Sessions(interactions.set_column(0, interactions.schema.field("user"), codes), keys)


def session_gap(config: DataConfig, time_scale: int) -> float:
    """The gap that ends a session, in the unit of the timestamps; 0 cuts nothing.

    Args:
      config: the gap in seconds, and the unit of times.
      time_scale: `LogSummary.time_scale` of the log.
    """
    return config.session_gap_seconds * DataConfig.UNITS_PER_SECOND[config.time_unit] * time_scale


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
