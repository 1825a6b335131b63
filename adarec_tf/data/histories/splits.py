"""From ordered interactions to histories, and the leave-one-out split of them.

Interactions are Arrow tables with the columns of `encoded.ORDERED_SCHEMA`, filtered and in the
order of histories.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD


class Splits(NamedTuple):
    """The parts of the users' histories; leave-one-out gives the same users in the same order."""

    train: Histories
    valid: Histories
    test: Histories


def to_histories(interactions: pa.Table, user_keys: pa.Array, item_ids: np.ndarray) -> Histories:
    """The whole histories of users.

    Args:
      interactions: `ORDERED_SCHEMA`.
      user_keys: string [U], by user code.
      item_ids: int64 [V], the id of each item code.

    Returns:
      One history for each user with interactions, in the users' order; no targets (PAD).
    """
    users = interactions["user"].to_numpy()
    codes, lengths = np.unique(users, return_counts=True)
    keys = user_keys.take(pa.array(codes)).cast(pa.binary()).to_pylist()
    return Histories(
        np.array(keys, object),
        item_ids[interactions["item"].to_numpy()],
        _row_splits(lengths),
        np.full(len(keys), PAD, np.int64),
    )


def split_leave_one_out(histories: Histories) -> Splits:
    """Cuts each history: the last item is the test target, the one before the validation target.

    Args:
      histories: of three items or more each.

    Returns:
      train: everything but the last two items, no target.
      valid: the same history, target the second last item.
      test: everything but the last item, target the last.

    Raises:
      ValueError: a history is too short to be cut.
    """
    lengths = histories.lengths
    if lengths.min(initial=3) < 3:
        raise ValueError(
            "A history should have at least 3 items: one to train, one to select, one to test. "
            f"Received: a history of {lengths.min()}."
        )
    ends = np.repeat(histories.row_splits[1:], lengths)
    from_end = ends - np.arange(len(histories.item_ids))
    history = histories.item_ids[from_end > 2], _row_splits(lengths - 2)
    longer_history = histories.item_ids[from_end > 1], _row_splits(lengths - 1)
    keys, second_last, last = (
        histories.user_keys,
        histories.item_ids[from_end == 2],
        histories.item_ids[from_end == 1],
    )
    return Splits(
        Histories(keys, *history, np.full(len(keys), PAD, np.int64)),
        Histories(keys, *history, second_last),
        Histories(keys, *longer_history, last),
    )


def _row_splits(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
