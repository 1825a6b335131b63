"""From interactions to filtered, ordered and split histories: pure functions on blocks.

Interactions are Arrow tables with the columns of `LOG_SCHEMA`; `arrival` is the row's place in the
log and decides ties in time. The order of the steps is `remove_duplicates`, `filter_min_counts` of
items, then of users (one pass each), `order_by_time`, `to_histories`, `split_leave_one_out` (or
that of `global_time_split`).

All functions work on a part of the users as well as on all of them, as long as the interactions of
a user stay together (`partition_users`) and counts of items are merged first (`merge_counts`).
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adarec_tf.config import DataConfig
from adarec_tf.data.examples import Histories
from adarec_tf.data.interactions import INTERACTION_SCHEMA
from adarec_tf.data.vocabulary import PAD, ItemVocabulary

LOG_SCHEMA = INTERACTION_SCHEMA.append(pa.field("arrival", pa.int64()))
_DIGEST_MODULUS = 1 << 256


class Filtered(NamedTuple):
    """What a filter left and what it took.

    Attributes:
      interactions: the interactions left, in their order.
      num_keys: distinct users or items removed.
      num_interactions: interactions removed.
    """

    interactions: pa.Table
    num_keys: int
    num_interactions: int


class KeyCounts(NamedTuple):
    """How often each key occurs.

    Attributes:
      keys: string [K], distinct.
      counts: int64 [K].
    """

    keys: pa.Array
    counts: np.ndarray


class Splits(NamedTuple):
    """The parts of the users' histories; leave-one-out gives the same users in the same order."""

    train: Histories
    valid: Histories
    test: Histories


def partition_users(user_ids: pa.Array, num_partitions: int) -> np.ndarray:
    """Which partition each user belongs to: a hash of the key, stable over processes and versions.

    Args:
      user_ids: string [N].
      num_partitions: P.

    Returns:
      int64 [N], in 0..P-1.
    """
    encoded = user_ids.dictionary_encode()
    keys = encoded.dictionary.cast(pa.binary()).to_pylist()
    partitions = np.array([zlib.crc32(key) % num_partitions for key in keys], np.int64)
    return partitions[encoded.indices.to_numpy()]


def remove_duplicates(interactions: pa.Table) -> Filtered:
    """Removes rows that repeat user, item and time; the first to arrive stays."""
    users = _ranks(interactions["user_id"])
    items = _ranks(interactions["item_id"])
    times, arrivals = (interactions[name].to_numpy() for name in ("timestamp", "arrival"))
    order = np.lexsort((arrivals, times, items, users))
    is_repeat = np.zeros(len(order), bool)
    is_repeat[1:] = np.logical_and.reduce(
        [column[order][1:] == column[order][:-1] for column in (users, items, times)]
    )
    kept = np.sort(order[~is_repeat])
    return Filtered(interactions.take(kept), 0, len(order) - len(kept))


def count_keys(column: pa.ChunkedArray) -> KeyCounts:
    """Counts the interactions of each user or item."""
    keys, counts = pc.value_counts(column).flatten()
    return KeyCounts(keys, counts.to_numpy())


def merge_counts(parts: Iterable[KeyCounts]) -> KeyCounts:
    """Adds up counts made on parts of the interactions."""
    tables = [
        pa.table([part.keys, part.counts], schema=pa.schema({"key": pa.string(), "n": pa.int64()}))
        for part in parts
    ]
    if not tables:
        return KeyCounts(pa.array([], pa.string()), np.zeros(0, np.int64))
    merged = pa.concat_tables(tables).group_by("key").aggregate([("n", "sum")])
    return KeyCounts(merged["key"].combine_chunks(), merged["n_sum"].to_numpy())


def filter_min_counts(
    interactions: pa.Table, column: str, counts: KeyCounts, min_count: int
) -> Filtered:
    """Removes the interactions of keys that occur too rarely.

    Args:
      interactions: N rows.
      column: `user_id` or `item_id`.
      counts: of this column over the whole log (for users: over all rows of the users in here).
      min_count: interactions a key needs to stay.
    """
    rare = counts.keys.filter(pa.array(counts.counts < min_count))
    is_rare = pc.is_in(interactions[column], rare)
    left = interactions.filter(pc.invert(is_rare))
    num_keys = pc.count_distinct(interactions[column].filter(is_rare)).as_py()
    return Filtered(left, num_keys, len(interactions) - len(left))


def order_by_time(interactions: pa.Table) -> pa.Table:
    """Orders by user (UTF-8 bytes of the key), time, arrival."""
    users = _ranks(interactions["user_id"])
    times, arrivals = (interactions[name].to_numpy() for name in ("timestamp", "arrival"))
    return interactions.take(np.lexsort((arrivals, times, users)))


def to_histories(interactions: pa.Table, vocabulary: ItemVocabulary) -> Histories:
    """The whole histories of users.

    Args:
      interactions: from `order_by_time`.
      vocabulary: the items; those it does not know become `UNKNOWN`.

    Returns:
      One history a user, in the users' order; no targets (PAD).
    """
    users = interactions["user_id"].combine_chunks()
    codes = users.dictionary_encode()
    keys = np.array(codes.dictionary.cast(pa.binary()).to_pylist(), object)
    lengths = np.bincount(codes.indices.to_numpy(), minlength=len(keys))
    return Histories(
        keys,
        vocabulary.encode(interactions["item_id"].combine_chunks()),
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
    """SHA-256, in hex, of all histories, the vocabulary their ids stand for, and cuts in time.

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


def _ranks(column: pa.ChunkedArray) -> np.ndarray:
    """int64 [N]: the place of each key among the distinct keys, ordered by their UTF-8 bytes."""
    encoded = column.combine_chunks().dictionary_encode()
    ranks = np.empty(len(encoded.dictionary), np.int64)
    ranks[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(ranks))
    return ranks[encoded.indices.to_numpy()]


def _row_splits(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
