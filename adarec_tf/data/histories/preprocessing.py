"""The way from encoded interactions of a part of the users to split histories.

`Dataset` takes all parts this way in one process, the Beam steps of the pipeline a partition at a
time. The functions are pure, and what they give does not depend on how users are cut into parts.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.repeats import drop_repeats
from adarec_tf.data.histories.sessions import cut_sessions, session_gap
from adarec_tf.data.histories.splits import Splits, split_leave_one_out, to_histories
from adarec_tf.data.histories.statistics import count_part
from adarec_tf.data.histories.time_split import TimeCuts, split_in_time, training_interactions
from adarec_tf.data.histories.value_counts import ValueCounts, count_values
from adarec_tf.data.log.encoded import distinct_keys, encode_users, order_by_time


class UserPart(NamedTuple):
    """The interactions of some users who are in no other part.

    Attributes:
      keys: string [U], of users, or of sessions if there are some, by code.
      interactions: `ORDERED_SCHEMA`, in the order of histories.
      removed: how many rows are gone, by reason.
    """

    keys: pa.Array
    interactions: pa.Table
    removed: dict[str, int]


class SplitPart(NamedTuple):
    """The splits of a part of the users, what is counted of it, and what is in no split."""

    splits: Splits
    counts: dict[str, int]
    removed: dict[str, int]


def order_part(block: pa.Table, config: DataConfig, time_scale: int) -> UserPart:
    """Orders the interactions of some users, cuts sessions and takes repeats out.

    Args:
      block: of `encode_items`, all interactions of these users, in any order.
      config: says what a history is.
      time_scale: `LogSummary.time_scale` of the log.
    """
    keys = distinct_keys(block["user_id"].chunks)
    block = encode_users(block, keys)  # lets go of the text
    interactions = order_by_time(block)
    removed = {"duplicate_interactions": len(block) - len(interactions)}
    if config.has_sessions:
        interactions, keys = cut_sessions(interactions, keys, session_gap(config, time_scale))
    if config.repeats != "keep":
        num_before = len(interactions)
        interactions = drop_repeats(interactions, config.repeats)
        removed["repeated_interactions"] = num_before - len(interactions)
    return UserPart(keys, interactions, removed)


def count_vocabulary_items(
    interactions: pa.Table, cuts: TimeCuts | None, config: DataConfig
) -> ValueCounts:
    """How often each item code occurs where the vocabulary is taken from.

    That is everything that is kept, unless a cut in time hides the future.

    Args:
      interactions: `ORDERED_SCHEMA`, those of a part of the users that are kept.
      cuts: of a split in time; None for leave-one-out.
      config: says whether there are sessions.
    """
    if cuts is not None:
        interactions = training_interactions(interactions, cuts, config.has_sessions)
    return count_values(interactions["item"].to_numpy())


def split_part(
    interactions: pa.Table,
    keys: pa.Array,
    item_ids: np.ndarray,
    cuts: TimeCuts | None,
    config: DataConfig,
) -> SplitPart:
    """Splits the histories of some users.

    Args:
      interactions: `ORDERED_SCHEMA`, those of a part of the users that are kept.
      keys: string [U], by user code.
      item_ids: int64 [V], the id of each item code; `UNKNOWN` where the vocabulary has it not.
      cuts: of a split in time; None for leave-one-out.
      config: says whether there are sessions.
    """
    histories = to_histories(interactions, keys, item_ids)
    if cuts is None:
        splits, removed = split_leave_one_out(histories), dict[str, int]()
    else:
        times = interactions["timestamp"].to_numpy()
        splits, removed = split_in_time(histories, times, cuts, config.has_sessions)
    return SplitPart(splits, count_part(histories, splits.train), removed)
