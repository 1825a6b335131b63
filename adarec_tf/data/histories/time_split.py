"""The global time split: one cut for all users, and nothing that a model learned from is behind it.

Leave-one-out leaks time: what one user did in spring is trained on to predict what another did in
winter. Here the kept interactions of all users are cut in time, twice:

    train: before the validation cut | validation period | test period: from the test cut on

The target of a user is the **first** interaction of a period, and the history is everything before
the period began. So no history holds anything of the period that it is tested on, and each user
counts once. A user without a history before a period cannot be ranked in it.

A session belongs as a whole to the period in which it ends, since it is short beside a period. Its
target is its **last** interaction, and the history is the rest of the session.

An item that does not occur in training has no place in the vocabulary. A history leaves it out, as
the served model does, and it cannot be ranked as a target. All of these are counted.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.histories.value_counts import ValueCounts
from adarec_tf.data.histories.vocabulary import PAD, UNKNOWN


class TimeCuts(NamedTuple):
    """When the periods begin; an interaction at the very time of a cut is behind it.

    Attributes:
      valid: training is before.
      test: the validation period is before, the test period from here on.
    """

    valid: int
    test: int


class TimeSplit(NamedTuple):
    """The splits, whose users differ, and how much is in none of them, by reason."""

    splits: Splits
    removed: dict[str, int]


def find_time_cuts(counts: ValueCounts, test_time_share: float) -> TimeCuts:
    """The latest cuts behind which there is at least the share of interactions asked for.

    Interactions of the same time stay together, so a coarse clock gives longer periods.

    Args:
      counts: of the times of all kept interactions.
      test_time_share: share of the interactions in the test period, and in the validation period
        before it, 0..0.5.
    """
    if len(counts.values) == 0:
        return TimeCuts(0, 0)
    shares_behind = np.cumsum(counts.counts[::-1])[::-1] / counts.counts.sum()
    valid, test = (
        # Sums of shares are off by a rounding error.
        int(counts.values[np.flatnonzero(shares_behind >= share - 1e-12)[-1]])
        for share in (2 * test_time_share, test_time_share)
    )
    return TimeCuts(valid, test)


def training_interactions(interactions: pa.Table, cuts: TimeCuts, has_sessions: bool) -> pa.Table:
    """The interactions that are trained on.

    Args:
      interactions: `ORDERED_SCHEMA`, of whole users.
      cuts: when the periods begin.
      has_sessions: whether users are sessions.
    """
    users, times = (interactions[name].to_numpy() for name in ("user", "timestamp"))
    times = _end_times(users, times) if has_sessions else times
    return interactions.filter(pa.array(times < cuts.valid))


def split_in_time(
    histories: Histories, timestamps: np.ndarray, cuts: TimeCuts, has_sessions: bool
) -> TimeSplit:
    """Cuts whole histories in time, or deals whole sessions out to the periods.

    Args:
      histories: whole histories in time order; `UNKNOWN` is an item that is not in training.
      timestamps: int64 [N], of their interactions.
      cuts: when the periods begin.
      has_sessions: whether histories are sessions.

    Returns:
      train: what is before the validation cut, of users who have something there; no target.
      valid: the target of the validation period, and the history before it.
      test: the same for the test period.
      removed: `<split>_users_without_history` and `<split>_targets_unknown_in_training` users
        who have a target and are not ranked on it, and `interactions_in_no_split`.
    """
    users = np.repeat(np.arange(histories.num_users), histories.lengths)
    times = _end_times(users, timestamps) if has_sessions else timestamps
    is_training, is_test = times < cuts.valid, times >= cuts.test
    is_used, removed = is_training.copy(), dict[str, int]()
    periods = {}
    for name, is_in in (("valid", ~is_training & ~is_test), ("test", is_test)):
        if has_sessions:
            places = histories.row_splits[1:] - 1
            is_history = is_in.copy()
            is_history[places] = False
        else:
            is_history = times < getattr(cuts, name)
            # In time order, the first of the period comes right after all that is before it.
            num_before = np.bincount(users[is_history], minlength=histories.num_users)
            places = histories.row_splits[:-1] + num_before
        has_target = np.bincount(users[is_in], minlength=histories.num_users) > 0
        places = np.where(has_target, places, -1)
        periods[name], is_used_here, missing = _take_targets(histories, is_history, places)
        is_used |= is_used_here
        removed |= {f"{name}_{reason}": count for reason, count in missing.items()}
    removed["interactions_in_no_split"] = int((~is_used).sum())
    train = _select(histories, is_training, np.full(histories.num_users, PAD, np.int64))
    return TimeSplit(Splits(train.take(np.flatnonzero(train.lengths > 0)), **periods), removed)


def _end_times(users: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The last time of each row's user, int64 [N]; users are in order, and times of a user."""
    return times[np.searchsorted(users, users, side="right") - 1]


def _take_targets(
    histories: Histories, is_history: np.ndarray, places: np.ndarray
) -> tuple[Histories, np.ndarray, dict[str, int]]:
    """The histories of a period that can be ranked, what they use (bool [N]), and who cannot be.

    `is_history` (bool [N]) says which interactions come before the target, and `places` (int64 [U])
    where the target stands in `item_ids`; -1: there is none.
    """
    users = np.repeat(np.arange(histories.num_users), histories.lengths)
    is_history, has_target = is_history & (histories.item_ids != UNKNOWN), places >= 0
    has_history = np.bincount(users[is_history], minlength=histories.num_users) > 0
    targets = np.full(histories.num_users, PAD, np.int64)
    targets[has_target] = histories.item_ids[places[has_target]]
    is_ranked = has_target & has_history & (targets != UNKNOWN)
    is_used = is_history & is_ranked[users]
    is_used[places[is_ranked]] = True
    missing = {
        "users_without_history": int((has_target & ~has_history).sum()),
        "targets_unknown_in_training": int((has_history & (targets == UNKNOWN)).sum()),
    }
    cut = _select(histories, is_history, targets).take(np.flatnonzero(is_ranked))
    return cut, is_used, missing


def _select(histories: Histories, is_kept: np.ndarray, targets: np.ndarray) -> Histories:
    """All users with only some of their interactions (bool [N])."""
    num_kept = np.concatenate([[0], np.cumsum(is_kept)]).astype(np.int64)
    return Histories(
        histories.user_keys,
        histories.item_ids[is_kept],
        num_kept[histories.row_splits],
        targets,
    )
