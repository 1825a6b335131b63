"""The global time split of sessions: each belongs as a whole to the period in which it ends.

A session is short beside a period, so the split of users (`global_time_split`) would find a history
before a period for next to none of them. Here the target of a session is its last interaction and
the history is the rest of it, as a model meets a session that goes on. What is trained on still
ended before the validation period began. What cannot be ranked is counted as for users.
"""

import numpy as np
import pyarrow as pa

from adarec_tf.data.histories.global_time_split import (
    GlobalTimeSplit,
    Period,
    TimeCuts,
    take_targets,
)
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.histories.vocabulary import PAD


def training_interactions(interactions: pa.Table, cuts: TimeCuts) -> pa.Table:
    """The interactions (`ORDERED_SCHEMA`) of sessions that end before the validation cut."""
    sessions, times = (interactions[name].to_numpy() for name in ("user", "timestamp"))
    is_last = np.append(sessions[1:] != sessions[:-1], True)[: len(sessions)]
    lengths = np.diff(np.append(-1, np.flatnonzero(is_last)))
    return interactions.filter(pa.array(np.repeat(times[is_last] < cuts.valid, lengths)))


def split_sessions(histories: Histories, timestamps: np.ndarray, cuts: TimeCuts) -> GlobalTimeSplit:
    """Deals sessions out to the splits.

    Args:
      histories: whole sessions in time order; `UNKNOWN` is an item that is not in training.
      timestamps: int64 [N], of their interactions.
      cuts: when the periods begin.

    Returns:
      train: sessions that end before the validation cut; no target.
      valid: of sessions that end in the validation period the last item as the target.
      test: the same for the test period.
      removed: as of `split_global_time`.
    """
    last_places = histories.row_splits[1:] - 1
    ends = timestamps[last_places]
    is_training, is_test = ends < cuts.valid, ends >= cuts.test
    valid = _cut_period(histories, last_places, ~is_training & ~is_test, "valid")
    test = _cut_period(histories, last_places, is_test, "test")
    train = histories.take(np.flatnonzero(is_training))
    num_used = len(train.item_ids) + int(valid.is_used.sum() + test.is_used.sum())
    removed = {
        **valid.removed,
        **test.removed,
        "interactions_in_no_split": len(histories.item_ids) - num_used,
    }
    return GlobalTimeSplit(
        Splits(
            train._replace(targets=np.full(train.num_users, PAD, np.int64)),
            valid.histories,
            test.histories,
        ),
        removed,
    )


def _cut_period(
    histories: Histories, last_places: np.ndarray, is_in: np.ndarray, name: str
) -> Period:
    """Targets and histories of the sessions that end in a period (bool [U])."""
    is_before = np.repeat(is_in, histories.lengths)
    is_before[last_places] = False
    return take_targets(histories, is_before, np.where(is_in, last_places, -1), name)
