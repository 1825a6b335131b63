"""From ordered interactions to split histories, and what is measured of them: pure functions.

Interactions are Arrow tables with the columns of `encoded.ORDERED_SCHEMA`, filtered and in the
order of histories. All functions work on a part of the users as well as on all of them, as long as
the interactions of a user stay together.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD, ItemVocabulary

_DIGEST_MODULUS = 1 << 256


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


def count_repeats(histories: Histories) -> int:
    """How many items of the histories had occurred before in the same history."""
    users = np.repeat(np.arange(histories.num_users), histories.lengths)
    pairs = users * (histories.item_ids.max(initial=0) + 1) + histories.item_ids
    return len(pairs) - len(np.unique(pairs))


def repeat_share(num_repeats: int, num_interactions: int) -> float:
    """The share of interactions that are repeats; 0 where there are none at all."""
    return num_repeats / num_interactions if num_interactions else 0.0


def resolve_seen(seen: str, repeat_share: float, max_repeat_share: float) -> str:
    """Decides whether items of the history are candidates for recommendation.

    Args:
      seen: `exclude`, `keep`, or `auto`: exclude where users next to never come back to an item.
      repeat_share: measured on the training interactions.
      max_repeat_share: `auto` excludes up to this share.

    Returns:
      `exclude` or `keep`.
    """
    if seen != "auto":
        return seen
    return "exclude" if repeat_share <= max_repeat_share else "keep"


def digest_histories(histories: Histories) -> int:
    """A hash of histories that does not depend on their order: parts add up (mod 2^256)."""
    digests = (
        hashlib.sha256(
            len(key).to_bytes(8, "little") + key + histories.history(user).tobytes()
        ).digest()
        for user, key in enumerate(histories.user_keys)
    )
    return add_digests(int.from_bytes(digest, "little") for digest in digests)


def add_digests(digests: Iterable[int]) -> int:
    """Joins digests of parts, in any order."""
    return sum(digests) % _DIGEST_MODULUS


def data_fingerprint(digest: int, vocabulary: ItemVocabulary, cuts: tuple[int, ...] = ()) -> str:
    """SHA-256, in hex, of all histories, the vocabulary their ids stand for, and how they are cut.

    Equal for equal content, whatever the files, their order and the number of parts.
    """
    content = digest.to_bytes(32, "little") + "\n".join(vocabulary.keys).encode()
    content += "".join(f"\n\n{cut}" for cut in cuts).encode()  # no key holds a line break
    return hashlib.sha256(content).hexdigest()


def check_enough_is_left(
    num_users: int, num_items: int, removed: Mapping[str, int], config: DataConfig
) -> None:
    """Refuses a log of which the filters left nothing to learn from.

    Raises:
      ValueError: no user, or fewer than two items are left.
    """
    if num_users > 0 and num_items > 1:
        return
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in removed.items())
    raise ValueError(
        "A log should leave at least one user and two items after the filters. "
        f"Received: {num_users} users and {num_items} items; removed were {counts}. "
        f"Bring a longer log (users need {config.min_user_interactions} interactions), or lower "
        f"`min_user_interactions` (at least 3) or `min_item_interactions` "
        f"({config.min_item_interactions})."
    )


def _row_splits(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
