"""Split histories on disk and in memory.

On disk: GZIP TFRecords of `tf.train.Example` in `Split-{train,valid,test}/`, beside
`statistics.json` and the manifest of the shards (`history_shards` writes them). In memory: flat
arrays with row splits, a billion items in 8 GB.
"""

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.data.storage.manifest import check_shards

SPLITS = ("train", "valid", "test")
STATISTICS_FILE = "statistics.json"
_COMPRESSION = "GZIP"


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


@dataclass(frozen=True, kw_only=True)
class SequenceStatistics:
    """What the preprocessor found and removed; stored beside the sequences.

    Attributes:
      num_users: histories kept.
      num_items: items kept; their ids are 1..num_items.
      num_interactions: interactions kept.
      removed: filter name to how many it removed; the name says of what.
      repeat_share: share of the training interactions whose item the user had met before.
      seen: `exclude` or `keep`: whether items of the history are candidates.
      max_length: items of a history a model sees.
      data_fingerprint: hash of the sequences, equal for equal content.
    """

    num_users: int
    num_items: int
    num_interactions: int
    removed: dict[str, int]
    repeat_share: float
    seen: str
    max_length: int
    data_fingerprint: str


def write_statistics(sequences_dir: str, statistics: SequenceStatistics) -> None:
    """Writes `statistics.json` into the directory of the sequences."""
    with tf.io.gfile.GFile(os.path.join(sequences_dir, STATISTICS_FILE), "w") as file:
        file.write(json.dumps(dataclasses.asdict(statistics), indent=2, sort_keys=True) + "\n")


def read_statistics(sequences_dir: str) -> SequenceStatistics:
    """Reads what `write_statistics` wrote.

    Raises:
      ValueError: the directory holds no sequences, or those of another version.
    """
    path = os.path.join(sequences_dir, STATISTICS_FILE)
    if not tf.io.gfile.exists(path):
        raise ValueError(
            f"A sequences directory should hold {STATISTICS_FILE}. Received: {sequences_dir}."
        )
    with tf.io.gfile.GFile(path) as file:
        values = json.loads(file.read())
    names = {item.name for item in dataclasses.fields(SequenceStatistics)}
    if set(values) != names:
        raise ValueError(
            f"{path} should have the keys {sorted(names)}. Received: {sorted(values)}."
        )
    return SequenceStatistics(**values)


def read_histories(sequences_dir: str, split: str) -> Histories:
    """Reads one split into memory.

    Args:
      sequences_dir: what the sequence preprocessor wrote.
      split: `train`, `valid` or `test`.

    Returns:
      The histories, in the order of the files and their records.

    Raises:
      ValueError: the split is unknown, has no files, or a file is not as it was written.
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` should be one of {', '.join(SPLITS)}. Received: split={split!r}."
        )
    pattern = os.path.join(sequences_dir, f"Split-{split}", "*.gz")
    files = sorted(tf.io.gfile.glob(pattern))
    if not files:
        raise ValueError(f"The {split} split should have files {pattern}. Received: none.")
    check_shards(sequences_dir, f"Split-{split}")
    dataset = tf.data.TFRecordDataset(files, compression_type=_COMPRESSION).batch(4096)
    blocks = [_parse(serialized) for serialized in dataset]
    lengths = np.concatenate([block.lengths for block in blocks]) if blocks else np.zeros(0, int)
    return Histories(
        _concatenate([block.user_keys for block in blocks], np.dtype(object)),
        _concatenate([block.item_ids for block in blocks], np.dtype(np.int64)),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        _concatenate([block.targets for block in blocks], np.dtype(np.int64)),
    )


def _concatenate(arrays: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)


def _parse(serialized: tf.Tensor) -> Histories:
    features = tf.io.parse_example(
        serialized,
        {
            "user_id": tf.io.FixedLenFeature([], tf.string),
            "history": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
            "target": tf.io.FixedLenFeature([], tf.int64, default_value=PAD),
        },
    )
    history = features["history"]
    return Histories(
        features["user_id"].numpy(),
        history.values.numpy(),
        history.row_splits.numpy(),
        features["target"].numpy(),
    )


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
