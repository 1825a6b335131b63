"""The events of a log in the order of histories, and how those of a period are predicted."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from adarec_tf.data.dataset import OrderedLog
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD


class SceneEvents(NamedTuple):
    """All interactions of a log, ordered by user and time.

    Attributes:
      users: int64 [N], numbers of users (or sessions), in order.
      items: int64 [N], from 1: the place of the item among `item_keys`.
      times: int64 [N].
      item_keys: string [V], the items of the log.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    item_keys: pa.Array

    @classmethod
    def of_log(cls, log: OrderedLog) -> "SceneEvents":
        """The events of all parts of a log."""
        ends = np.cumsum([len(part.keys) for part in log.parts])
        parts = [part.interactions for part in log.parts]
        users = [
            part["user"].to_numpy().astype(np.int64) + end
            for part, end in zip(parts, np.append(0, ends), strict=False)
        ]
        return cls(
            np.concatenate(users),
            np.concatenate([part["item"].to_numpy() for part in parts]).astype(np.int64) + 1,
            np.concatenate([part["timestamp"].to_numpy() for part in parts]),
            log.item_keys,
        )

    @property
    def num_items(self) -> int:
        """V."""
        return len(self.item_keys)

    def histories(self, is_in: np.ndarray) -> Histories:
        """The events of a period as histories without targets.

        Args:
          is_in: bool [N].
        """
        users, lengths = np.unique(self.users[is_in], return_counts=True)
        return Histories(
            users,
            self.items[is_in],
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.full(len(users), PAD, np.int64),
        )

    def before(self, places: np.ndarray) -> Histories:
        """The histories of users before these events (int64 [M]), which are the targets."""
        starts = np.searchsorted(self.users, self.users[places])
        lengths = places - starts
        row_splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.repeat(starts - row_splits[:-1], lengths) + np.arange(row_splits[-1])
        return Histories(self.users[places], self.items[rows], row_splits, self.items[places])

    def keys_before(self, places: np.ndarray) -> Iterable[list[str]]:
        """The raw item keys of these histories, oldest first."""
        keys = np.array(self.item_keys.to_pylist(), object)
        starts = np.searchsorted(self.users, self.users[places])
        for start, stop in zip(starts, places, strict=True):
            yield list(keys[self.items[start:stop] - 1])

    def draw_targets(self, is_in: np.ndarray, num: int, seed: int) -> np.ndarray:
        """Events of a period that come after another one of their user: int64 [M], in order.

        Args:
          is_in: bool [N].
          num: how many at most.
          seed: of the draw.
        """
        has_history = np.append(False, self.users[1:] == self.users[:-1])[: len(self.users)]
        places = np.flatnonzero(is_in & has_history)
        drawn = np.random.default_rng(seed).permutation(len(places))[:num]
        return places[np.sort(drawn)]
