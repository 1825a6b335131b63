"""Histories in memory: flat arrays with row splits, a billion items in 8 GB."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.data.histories.vocabulary import ItemVocabulary


class Histories(NamedTuple):
    """Many users' histories, flat.

    Attributes:
      user_keys: object [U] of bytes.
      item_ids: int64 [N], the histories one after the other, each in time order.
      row_splits: int64 [U + 1]; user u owns `item_ids[row_splits[u]:row_splits[u + 1]]`.
      targets: int64 [U], the item to predict; PAD in the train split, which has none.
    """

    user_keys: np.ndarray
    item_ids: np.ndarray
    row_splits: np.ndarray
    targets: np.ndarray

    @property
    def num_users(self) -> int:
        """How many histories there are."""
        return len(self.row_splits) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 [U], items in each history."""
        return np.diff(self.row_splits)

    def history(self, user: int) -> np.ndarray:
        """int64, the history of the user at this row."""
        return self.item_ids[self.row_splits[user] : self.row_splits[user + 1]]

    def take(self, users: np.ndarray) -> "Histories":
        """The histories of these rows (int [M]), in this order."""
        starts, lengths = self.row_splits[users], self.lengths[users]
        row_splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.repeat(starts - row_splits[:-1], lengths) + np.arange(row_splits[-1])
        return Histories(
            self.user_keys[users], self.item_ids[places], row_splits, self.targets[users]
        )


def join_histories(parts: Sequence[Histories]) -> Histories:
    """The histories of all parts, one or more, as one."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Histories(
        np.concatenate([part.user_keys for part in parts]),
        np.concatenate([part.item_ids for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([part.targets for part in parts]),
    )


def raw_histories(
    histories: Histories, vocabulary: ItemVocabulary, num_histories: int
) -> list[list[str]]:
    """The first histories as raw item keys, as a client would send them.

    Args:
      histories: of any split.
      vocabulary: of their items.
      num_histories: how many; all of them where there are fewer.
    """
    users = range(min(num_histories, histories.num_users))
    return [vocabulary.decode(histories.history(user)) for user in users]


def sample_users(histories: Histories, num: int, seed: int = 0) -> Histories:
    """The histories of some users, drawn at random and in their order.

    Args:
      histories: of any split.
      num: how many; 0, or as many as there are: all.
      seed: of the draw.
    """
    if num == 0 or num >= histories.num_users:
        return histories
    users = np.random.default_rng(seed).permutation(histories.num_users)[:num]
    return histories.take(np.sort(users))


def split_halves(histories: Histories) -> tuple[Histories, Histories]:
    """Halves the training users by a hash of their keys: weights learn on one, alphas on the other.

    The half of a user depends on the user alone, so it survives new data and reordering.
    """
    buckets = tf.strings.to_hash_bucket_fast(
        tf.constant(list(histories.user_keys), tf.string), 2
    ).numpy()
    return histories.take(np.flatnonzero(buckets == 0)), histories.take(
        np.flatnonzero(buckets == 1)
    )
