"""The global time split: one cut for all users, and nothing a model learned from is behind it.

Leave-one-out leaks time: what one user did in spring is trained on to predict what another did in
winter. Here the kept interactions of all users are cut in time, twice:

    train: before the validation cut | validation period | test period: from the test cut on

The target of a user is the **first** interaction of a period, and its history is everything before
the period began. The first, because then no history holds anything of the period it is tested on,
and each user counts once. A user without history before a period cannot be ranked in it. An item
that does not occur in training has no place in the vocabulary: in a history it is left out, as
the served model does, and as a target it cannot be ranked. All of these are counted.
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


class GlobalTimeSplit(NamedTuple):
    """The splits, whose users differ, and how much is in none of them, by reason."""

    splits: Splits
    removed: dict[str, int]


class Period(NamedTuple):
    """A split's histories, and which interactions (bool [N]) they and their targets use."""

    histories: Histories
    is_used: np.ndarray
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


def training_interactions(interactions: pa.Table, cuts: TimeCuts) -> pa.Table:
    """The interactions before the validation cut."""
    return interactions.filter(pa.array(interactions["timestamp"].to_numpy() < cuts.valid))


def split_global_time(
    histories: Histories, timestamps: np.ndarray, cuts: TimeCuts
) -> GlobalTimeSplit:
    """Cuts whole histories in time.

    Args:
      histories: whole histories in time order; `UNKNOWN` is an item that is not in training.
      timestamps: int64 [N], of their interactions.
      cuts: when the periods begin.

    Returns:
      train: interactions before the validation cut, of users who have one; no target.
      valid: target the first interaction of the validation period, history all before it began.
      test: the same for the test period.
      removed: `<split>_users_without_history` and `<split>_targets_unknown_in_training` users
        who have a target and are not ranked on it, and `interactions_in_no_split`.
    """
    is_training, is_before_test = timestamps < cuts.valid, timestamps < cuts.test
    valid = _cut_period(histories, is_training, is_before_test & ~is_training, "valid")
    test = _cut_period(histories, is_before_test, ~is_before_test, "test")
    train = _select(histories, is_training, np.full(histories.num_users, PAD, np.int64))
    is_used = is_training | valid.is_used | test.is_used
    removed = {
        **valid.removed,
        **test.removed,
        "interactions_in_no_split": int((~is_used).sum()),
    }
    return GlobalTimeSplit(
        Splits(train.take(np.flatnonzero(train.lengths > 0)), valid.histories, test.histories),
        removed,
    )


def check_targets_are_left(valid: Histories, test: Histories, removed: dict[str, int]) -> None:
    """Refuses a split that leaves nobody to select or to test on.

    Raises:
      ValueError: the validation or the test split is empty.
    """
    if valid.num_users > 0 and test.num_users > 0:
        return
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in removed.items())
    raise ValueError(
        "A global time split should leave validation and test targets of users with a history "
        f"before them. Received: {valid.num_users} and {test.num_users}; removed were {counts}. "
        "Change `test_time_share`, or split with `leave_one_out`."
    )


def _cut_period(
    histories: Histories, is_before: np.ndarray, is_in: np.ndarray, name: str
) -> Period:
    """Targets from the interactions in a period (bool [N]), histories from those before it."""
    users = np.repeat(np.arange(histories.num_users), histories.lengths)
    has_target = np.bincount(users[is_in], minlength=histories.num_users) > 0
    # In time order, the first of the period comes right after all that is before it.
    num_before = np.bincount(users[is_before], minlength=histories.num_users)
    places = np.where(has_target, histories.row_splits[:-1] + num_before, -1)
    return take_targets(histories, is_before, places, name)


def take_targets(
    histories: Histories, is_before: np.ndarray, places: np.ndarray, name: str
) -> Period:
    """The histories of a period with their targets, of those that can be ranked.

    Args:
      histories: whole histories; `UNKNOWN` is an item that is not in training.
      is_before: bool [N], which interactions come before the target of their history.
      places: int64 [U], where the target of each history stands in `item_ids`; -1: it has none.
      name: of the period, for what is counted.
    """
    users = np.repeat(np.arange(histories.num_users), histories.lengths)
    is_history, has_target = is_before & (histories.item_ids != UNKNOWN), places >= 0
    has_history = np.bincount(users[is_history], minlength=histories.num_users) > 0
    targets = np.full(histories.num_users, PAD, np.int64)
    targets[has_target] = histories.item_ids[places[has_target]]
    is_ranked = has_target & has_history & (targets != UNKNOWN)
    is_used = is_history & is_ranked[users]
    is_used[places[is_ranked]] = True
    removed = {
        f"{name}_users_without_history": int((has_target & ~has_history).sum()),
        f"{name}_targets_unknown_in_training": int((has_history & (targets == UNKNOWN)).sum()),
    }
    cut = _select(histories, is_history, targets).take(np.flatnonzero(is_ranked))
    return Period(cut, is_used, removed)


def _select(histories: Histories, is_kept: np.ndarray, targets: np.ndarray) -> Histories:
    """All users with only some of their interactions (bool [N])."""
    num_kept = np.concatenate([[0], np.cumsum(is_kept)]).astype(np.int64)
    return Histories(
        histories.user_keys,
        histories.item_ids[is_kept],
        num_kept[histories.row_splits],
        targets,
    )
