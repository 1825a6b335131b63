"""Counts of the preprocessing: sizes, repeats, what the filters removed, a fingerprint."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.events import OTHER_EVENTS

MAX_REPEAT_SHARE = 0.01
# What `max_length` may be where the scene decides, and what it has to hold of the interactions.
_LENGTHS = (20, 50, 100, 200)
_HELD_SHARE = 0.95
_DIGEST_MODULUS = 1 << 256


@dataclass(frozen=True, kw_only=True)
class SequenceStatistics:
    """What the preprocessing found and removed; stored beside the histories.

    Attributes:
      num_users: histories kept.
      num_items: items kept; their ids are 1..num_items.
      vocabulary_bytes: of the items' names, a line each, as a bundle holds them.
      num_interactions: interactions kept.
      removed: filter name to how many it removed; the name says of what.
      repeat_share: share of the training interactions whose item the user had met before.
      seen: `exclude` or `keep`: whether items of the history are candidates.
      max_length: items of a history a model sees.
      windows: `last` or `all`: which windows of longer histories are trained on.
      data_fingerprint: hash of the histories, equal for equal content.
    """

    num_users: int
    num_items: int
    vocabulary_bytes: int
    num_interactions: int
    removed: dict[str, int]
    repeat_share: float
    seen: str
    max_length: int
    windows: str
    data_fingerprint: str


def count_part(histories: Histories, train: Histories) -> dict[str, int]:
    """Counts of a part of the users; `add_counts` adds up parts.

    Args:
      histories: the whole histories of these users.
      train: what is trained on of them.
    """
    return {
        "num_users": histories.num_users,
        "num_interactions": len(histories.item_ids),
        "num_training_interactions": len(train.item_ids),
        "num_repeats": count_repeats(train),
        "digest": _digest(histories),
        **{_held_by(n): int(np.minimum(train.lengths, n).sum()) for n in _LENGTHS},
    }


def _held_by(length: int) -> str:
    """The count of training interactions that are among the last `length` of their history."""
    return f"num_in_last_{length}"


def add_counts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Adds up by name what was counted of parts."""
    total = Counter[str]()
    for part in parts:
        total.update(part)
    return dict(total)


def summarize(
    counts: Mapping[str, int],
    removed: Mapping[str, int],
    vocabulary: ItemVocabulary,
    cuts: tuple[int, ...],
    config: DataConfig,
) -> SequenceStatistics:
    """The statistics of all users.

    Args:
      counts: `count_part` of all parts, added up.
      removed: what the filters removed, by name.
      vocabulary: of the items kept.
      cuts: the times of a split in time; empty for leave-one-out.
      config: says what becomes of seen items, and how long the histories of a model are.
    """
    total = Counter(counts)
    num_training = total["num_training_interactions"]
    repeat_share = total["num_repeats"] / num_training if num_training else 0.0
    seen: str = config.seen
    if seen == "auto":
        seen = "exclude" if repeat_share <= MAX_REPEAT_SHARE else "keep"
    enough = [n for n in _LENGTHS if total[_held_by(n)] >= _HELD_SHARE * num_training]
    max_length = config.max_length or min(enough, default=_LENGTHS[-1])
    windows: str = config.windows
    if windows == "auto":
        windows = "last" if enough and min(enough) <= max_length else "all"
    return SequenceStatistics(
        num_users=total["num_users"],
        num_items=vocabulary.num_items,
        vocabulary_bytes=vocabulary.num_bytes,
        num_interactions=total["num_interactions"],
        removed=dict(removed),
        repeat_share=repeat_share,
        seen=seen,
        max_length=max_length,
        windows=windows,
        data_fingerprint=data_fingerprint(total["digest"], vocabulary, cuts),
    )


def count_repeats(histories: Histories) -> int:
    """How many items of the histories had occurred before in the same history."""
    users = np.repeat(np.arange(histories.num_users), histories.lengths)
    pairs = users * (histories.item_ids.max(initial=0) + 1) + histories.item_ids
    return len(pairs) - len(np.unique(pairs))


def _digest(histories: Histories) -> int:
    """A hash of histories that does not depend on their order: those of parts add up."""
    digests = (
        hashlib.sha256(
            len(key).to_bytes(8, "little") + key + histories.history(user).tobytes()
        ).digest()
        for user, key in enumerate(histories.user_keys)
    )
    return sum(int.from_bytes(digest, "little") for digest in digests)


def data_fingerprint(digest: int, vocabulary: ItemVocabulary, cuts: tuple[int, ...] = ()) -> str:
    """SHA-256, in hex, of all histories, the vocabulary their ids stand for, and how they are cut.

    It is equal for equal content, whatever the files, their order and the number of parts.

    Args:
      digest: of all histories, as `count_part` has it.
      vocabulary: of the items.
      cuts: the times of a split in time.
    """
    # No key holds a line break.
    text = "\n".join(vocabulary.keys) + "".join(f"\n\n{cut}" for cut in cuts)
    content = (digest % _DIGEST_MODULUS).to_bytes(32, "little") + text.encode()
    return hashlib.sha256(content).hexdigest()


def check_enough_is_left(
    statistics: SequenceStatistics, num_valid: int, num_test: int, config: DataConfig
) -> None:
    """Refuses a log of which the filters and the split left nothing to learn from.

    Args:
      statistics: of what is left.
      num_valid: histories of the validation split.
      num_test: histories of the test split.
      config: the filters and the split.

    Raises:
      ValueError: no user, fewer than two items, or no targets are left.
    """
    removed = statistics.removed.items()
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in removed)
    if statistics.num_users > 0 and (num_valid == 0 or num_test == 0):
        raise ValueError(
            "A global time split should leave validation and test targets of users with a history "
            f"before them. Received: {num_valid} and {num_test}; removed were {counts}. "
            "Change `test_time_share`, or split with `leave_one_out`."
        )
    if statistics.num_users == 0 or statistics.num_items < 2:
        more = "Bring a longer log"
        if statistics.removed.get(OTHER_EVENTS):
            more = "Let more event types stay (`events`, `event_weights`), bring a longer log"
        raise ValueError(
            "The log (in Python, `source`) should leave at least one user and two items after the "
            f"filters. Received: {statistics.num_users} users and {statistics.num_items} items; "
            f"removed were {counts}. {more} (users need "
            f"{config.min_user_interactions} interactions), or lower `min_user_interactions` "
            f"(at least 3) or `min_item_interactions` ({config.min_item_interactions})."
        )
