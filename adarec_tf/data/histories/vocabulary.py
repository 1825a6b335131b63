"""The item vocabulary: raw item keys to item ids and back.

Ids are dense, so that an id is a row of an embedding table: PAD = 0, items 1..num_items in the
order of the vocabulary, MASK (masked-item models) right after them.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

PAD = 0
UNKNOWN = -1


@dataclass(frozen=True)
class ItemVocabulary:
    """The items of a scene, in id order.

    Attributes:
      keys: raw item keys; the item at position i has the id i + 1.

    Raises:
      ValueError: keys repeat, are empty or contain a line break (the file has one a line).
    """

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.keys)) != len(self.keys):
            [(repeated, _)] = Counter(self.keys).most_common(1)
            raise ValueError(f"Item keys should be distinct. Received {repeated!r} twice.")
        for key in self.keys:
            if not key or "\n" in key or "\r" in key:
                raise ValueError(
                    f"Item keys should be text without line breaks. Received: {key!r}."
                )

    def extended(self, keys: pa.Array, counts: np.ndarray) -> "ItemVocabulary":
        """These items, whose ids do not move, and behind them those that are new.

        The most frequent of the new ones come first, equally frequent ones in the order of their
        UTF-8 bytes. Items that have gone keep their ids, so that an id means one item for ever.

        Args:
          keys: string [V], distinct raw item keys, of items known and new.
          counts: int64 [V], interactions of each.
        """
        table = pa.table({"key": keys.cast(pa.binary()), "count": counts})
        new = table.filter(pa.array(self.encode(keys) == UNKNOWN))
        order = pc.sort_indices(new, [("count", "descending"), ("key", "ascending")])
        new_keys = new["key"].take(order).cast(pa.string())
        return type(self)((*self.keys, *new_keys.to_pylist()))

    def check_extends(self, previous: "ItemVocabulary") -> None:
        """Checks that all ids of an earlier vocabulary mean the same items here.

        Raises:
          ValueError: one does not.
        """
        pairs = zip_longest(self.keys[: previous.num_items], previous.keys)
        for item_id, (key, expected) in enumerate(pairs, start=1):
            if key != expected:
                raise ValueError(
                    "A vocabulary should begin with all items of the earlier one that it extends. "
                    f"Received: {key!r} with the id {item_id}, which was {expected!r}."
                )

    @property
    def num_items(self) -> int:
        """V; ids run from 1 to V."""
        return len(self.keys)

    @property
    def mask_id(self) -> int:
        """MASK, the id of a hidden item in masked-item models."""
        return self.num_items + 1

    @cached_property
    def fingerprint(self) -> str:
        """Differs between vocabularies with other items or another order of them."""
        return hashlib.sha256("\n".join(self.keys).encode()).hexdigest()

    @cached_property
    def _array(self) -> pa.Array:
        return pa.array(self.keys, pa.string())

    def encode(self, keys: Sequence[str] | pa.Array) -> np.ndarray:
        """The ids of raw item keys.

        Args:
          keys: [N].

        Returns:
          int64 [N]; `UNKNOWN` (-1) where a key is not in the vocabulary.
        """
        array = keys if isinstance(keys, pa.Array) else pa.array(keys, pa.string())
        positions = pc.index_in(array, self._array)
        return pc.fill_null(pc.add(positions.cast(pa.int64()), 1), UNKNOWN).to_numpy()

    def decode(self, item_ids: Sequence[int] | np.ndarray) -> list[str]:
        """The raw keys of item ids.

        Raises:
          ValueError: an id is not one of 1..num_items.
        """
        outside = [int(item_id) for item_id in item_ids if not PAD < item_id <= self.num_items]
        if outside:
            raise ValueError(f"Item ids should be 1..{self.num_items}. Received: {outside[0]}.")
        return [self.keys[item_id - 1] for item_id in item_ids]

    @property
    def num_bytes(self) -> int:
        """Of the file that `write` writes."""
        return sum(len(key.encode()) + 1 for key in self.keys)

    def write(self, path: str) -> None:
        """Writes one key a line, in id order, as UTF-8."""
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write("".join(f"{key}\n" for key in self.keys).encode())

    @classmethod
    def read(cls, path: str) -> "ItemVocabulary":
        """Reads what `write` wrote.

        Raises:
          ValueError: there is no such file, or a line is empty or repeated.
        """
        if not tf.io.gfile.exists(path):
            raise ValueError(f"The vocabulary should be a file. Received: {os.fspath(path)}.")
        with tf.io.gfile.GFile(path, "rb") as file:
            text = file.read().decode()
        # Not splitlines: keys may hold separators that are no line breaks in the file.
        return cls(tuple(text.split("\n")[:-1]))
