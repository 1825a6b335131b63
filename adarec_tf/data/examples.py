"""Split histories on disk and in memory, and the padded batches training is fed with.

On disk: GZIP TFRecords of `tf.train.Example` in `Split-{train,valid,test}/`, beside
`statistics.json`. In memory: flat arrays with row splits, a billion items in 8 GB, which are cut
into batches without a Python loop over users.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.sequence_model import PAD

SPLITS = ("train", "valid", "test")
STATISTICS_FILE = "statistics.json"
_COMPRESSION = "GZIP"
# Few different lengths, so that batches are full; a third of a long row is waste at most.
BUCKET_LENGTHS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


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
        histories = [self.history(user) for user in users]
        lengths = np.array([len(history) for history in histories], np.int64)
        flat = np.concatenate(histories) if histories else np.zeros(0, np.int64)
        return Histories(
            self.user_keys[users],
            flat,
            np.concatenate([[0], np.cumsum(lengths)]),
            self.targets[users],
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


def serialize_history(user_key: bytes, item_ids: Sequence[int] | np.ndarray, target: int) -> bytes:
    """One history as a serialized `tf.train.Example`; a PAD target (train) is left out."""
    features = {
        "user_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[user_key])),
        "history": tf.train.Feature(int64_list=tf.train.Int64List(value=item_ids)),
    }
    if target != PAD:
        features["target"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[target]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Map fields have no order of their own; without it equal histories could differ in bytes.
    return example.SerializeToString(deterministic=True)


def read_histories(sequences_dir: str, split: str) -> Histories:
    """Reads one split into memory.

    Args:
      sequences_dir: what the sequence preprocessor wrote.
      split: `train`, `valid` or `test`.

    Returns:
      The histories, in the order of the files and their records.

    Raises:
      ValueError: the split is unknown, or has no files.
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` should be one of {', '.join(SPLITS)}. Received: split={split!r}."
        )
    pattern = os.path.join(sequences_dir, f"Split-{split}", "*.gz")
    files = sorted(tf.io.gfile.glob(pattern))
    if not files:
        raise ValueError(f"The {split} split should have files {pattern}. Received: none.")
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


class Batch(NamedTuple):
    """Padded rows.

    Attributes:
      item_ids: int64 [B, L], left-padded with PAD.
      labels: int64 [B, L], the next item at each position, PAD where there is none.
    """

    item_ids: np.ndarray
    labels: np.ndarray


def pad_rows(
    histories: Histories, users: np.ndarray, length: int, num_dropped: int = 0
) -> np.ndarray:
    """The last items of some histories as left-padded rows.

    Args:
      histories: where from.
      users: int [B], rows of `histories`.
      length: L.
      num_dropped: how many items to leave out at the end of each history.

    Returns:
      int64 [B, L].
    """
    stops = histories.row_splits[users + 1] - num_dropped
    return _pad(histories.item_ids, histories.row_splits[users], stops, length)


def _pad(item_ids: np.ndarray, starts: np.ndarray, stops: np.ndarray, length: int) -> np.ndarray:
    """The last `length` of `item_ids[start:stop]`, a left-padded row for each pair."""
    if len(item_ids) == 0:
        return np.full((len(stops), length), PAD, np.int64)
    columns = stops[:, None] - np.arange(length, 0, -1)[None, :]
    is_real = columns >= starts[:, None]
    return np.where(is_real, item_ids[np.where(is_real, columns, 0)], PAD)


class _Windows(NamedTuple):
    """Stretches of histories: `item_ids[start:stop]` is the input, one later are the labels."""

    starts: np.ndarray
    stops: np.ndarray


def _windows(
    histories: Histories, max_length: int, windows: str, generator: np.random.Generator
) -> _Windows:
    """The inputs of an epoch, of 1 to `max_length` items each."""
    firsts, lasts = histories.row_splits[:-1], histories.row_splits[1:] - 1
    has_label = lasts > firsts
    firsts, lasts = firsts[has_label], lasts[has_label]
    if windows == "last":
        return _Windows(np.maximum(firsts, lasts - max_length), lasts)
    sizes = lasts - firsts
    # The newest window of a long history has a random size, so that cuts move between epochs.
    newest = np.where(sizes > max_length, generator.integers(1, max_length + 1, len(sizes)), sizes)
    counts = 1 + -(-(sizes - newest) // max_length)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    stops = np.repeat(lasts, counts) - np.where(
        place > 0, np.repeat(newest, counts) + (place - 1) * max_length, 0
    )
    lengths = np.where(place > 0, max_length, np.repeat(newest, counts))
    return _Windows(np.maximum(np.repeat(firsts, counts), stops - lengths), stops)


def bucket_length(longest: int, max_length: int) -> int:
    """The padded length for rows of at most `longest` items: the next bucket, or `max_length`."""
    return next((n for n in BUCKET_LENGTHS if longest <= n < max_length), max_length)


def next_item_batches(
    histories: Histories,
    *,
    max_length: int,
    positions_per_batch: int,
    seed: int,
    epoch: int,
    windows: str = "last",
) -> Iterator[Batch]:
    """One epoch of next-item training: every history of two or more items, once, by length.

    Rows of a batch have about the same length, and a batch has about `positions_per_batch`
    positions, so padding and long histories do not decide what a step costs. The order depends on
    the seed and the epoch alone: a resumed epoch is the epoch that was interrupted.

    Args:
      histories: the train split, or a half of it.
      max_length: items a model sees at once.
      positions_per_batch: B x L aimed at.
      seed: of the shuffling.
      epoch: which epoch, from 0.
      windows: `last`: of a longer history the last `max_length` items alone; `all`: every item, in
        windows of up to `max_length` that are cut elsewhere in every epoch.

    Yields:
      Batches in random order.
    """
    generator = np.random.default_rng([seed, epoch])
    windows_of_epoch = _windows(histories, max_length, windows, generator)
    for starts, stops, length in _cut_by_length(
        windows_of_epoch, max_length, positions_per_batch, generator
    ):
        item_ids = _pad(histories.item_ids, starts, stops, length)
        yield Batch(item_ids, _pad(histories.item_ids, starts + 1, stops + 1, length))


def masked_item_batches(
    histories: Histories,
    *,
    max_length: int,
    positions_per_batch: int,
    seed: int,
    epoch: int,
    windows: str = "last",
    mask_id: int,
    mask_probability: float,
) -> Iterator[Batch]:
    """One epoch of masked-item training: some items of each row are hidden, and are its labels.

    The last item of a row always is: that is where the next item is predicted later.

    Args:
      histories: the train split.
      max_length: items a model sees at once.
      positions_per_batch: B x L aimed at.
      seed: of the shuffling and of the masks.
      epoch: which epoch, from 0.
      windows: see `next_item_batches`.
      mask_id: what stands for a masked item.
      mask_probability: of each item but the last.

    Yields:
      Batches in random order.
    """
    generator = np.random.default_rng([seed, epoch])
    # An input and its last label.
    windows_of_epoch = _windows(histories, max_length - 1, windows, generator)
    for starts, stops, length in _cut_by_length(
        windows_of_epoch, max_length - 1, positions_per_batch, generator
    ):
        items = _pad(histories.item_ids, starts, stops + 1, length + 1)
        is_masked = (generator.random(items.shape) < mask_probability) & (items != PAD)
        is_masked[:, -1] = True
        yield Batch(np.where(is_masked, mask_id, items), np.where(is_masked, items, PAD))


def _cut_by_length(
    windows: _Windows, max_length: int, positions_per_batch: int, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Starts, stops and the padded length of the batches of an epoch, in random order."""
    inputs = windows.stops - windows.starts
    # Random order within equal lengths: batches differ from epoch to epoch.
    order = np.lexsort((generator.random(len(inputs)), inputs))
    padded = np.array([bucket_length(n, max_length) for n in range(max_length + 1)])[inputs[order]]
    cuts = []
    for length in np.unique(padded):
        rows = order[padded == length]
        size = max(1, positions_per_batch // int(length))
        cuts += [(rows[i : i + size], int(length)) for i in range(0, len(rows), size)]
    for index in generator.permutation(len(cuts)):
        rows, length = cuts[index]
        yield windows.starts[rows], windows.stops[rows], length


def count_batches(batches: Iterable[Batch]) -> int:
    """How many batches an epoch has.

    Raises:
      ValueError: none at all.
    """
    num_batches = sum(1 for _ in batches)
    if num_batches == 0:
        raise ValueError(
            "Training needs histories of at least two items besides the validation and the test "
            "item. Received: none; lower the minimum counts or bring a longer log."
        )
    return num_batches


def target_batches(
    histories: Histories, *, max_length: int, positions_per_batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Histories to predict the target of, shortest first.

    Args:
      histories: the valid or test split.
      max_length: items a model sees; longer histories keep their last ones.
      positions_per_batch: B x L aimed at.

    Yields:
      Rows of `histories` (int [B]) and their padded item ids (int64 [B, L]).
    """
    inputs = np.minimum(histories.lengths, max_length)
    users = np.argsort(inputs, kind="stable")
    inputs = inputs[users]
    start = 0
    while start < len(users):
        length = bucket_length(int(inputs[start]), max_length)
        stop = start + max(1, positions_per_batch // length)
        # Rows of the next bucket wait for the next batch.
        if length < max_length:
            stop = min(stop, int(np.searchsorted(inputs, length, side="right")))
        rows = users[start:stop]
        yield rows, pad_rows(histories, rows, length)
        start = stop


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
