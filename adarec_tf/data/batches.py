"""The padded batches that training and evaluation are fed with, cut from flat histories.

Rows of a batch have about the same length, and nothing here loops over users in Python: real
positions are what a step costs, not padding and not this.
"""

import math
from collections.abc import Callable, Iterator, Sequence, Sized
from typing import NamedTuple

import numpy as np

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD

# Few different lengths, so that batches are full; a third of a long row is waste at most.
BUCKET_LENGTHS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class Batch(NamedTuple):
    """Padded rows.

    Attributes:
      item_ids: int64 [B, L], left-padded with PAD.
      labels: int64 [B, L], the next item at each position, PAD where there is none.
      places: int64 [N], where the inputs of the labeled positions stand in the flat histories, row
        by row: what was kept about a position is found by it.
    """

    item_ids: np.ndarray
    labels: np.ndarray
    places: np.ndarray


class ReplicaBatch(NamedTuple):
    """The rows of a batch that one of several replicas computes.

    Means over the rows of each replica, weighted by the shares, add up to the mean of the batch.

    Attributes:
      batch: the rows, one at least.
      share: of the labeled positions; 0 for a replica that has no row of its own.
      num_labels: labeled positions of the whole batch.
    """

    batch: Batch
    share: float
    num_labels: int


class _Rows(NamedTuple):
    """Rows of a batch: where inputs start and stop in flat histories, and their padded length."""

    starts: np.ndarray
    stops: np.ndarray
    length: int

    def take(self, rows: np.ndarray) -> "_Rows":
        return _Rows(self.starts[rows], self.stops[rows], self.length)


class EpochBatches:
    """The batches of one epoch, once: counted before any of them is made."""

    def __init__(
        self,
        rows: Sequence[_Rows],
        find_labels: Callable[[_Rows], np.ndarray],
        make: Callable[[_Rows, np.ndarray], Batch],
    ) -> None:
        """Makes nothing yet.

        Args:
          rows: of each batch.
          find_labels: rows to bool [B, L], which positions have a label; it reads no history.
          make: a batch of its rows and of these.
        """
        self._rows, self._find_labels, self._make = rows, find_labels, make

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Batch]:
        return (self._make(rows, self._find_labels(rows)) for rows in self._rows)

    def for_replicas(self, numbers: Sequence[int], count: int) -> Iterator[list[ReplicaBatch]]:
        """What some replicas compute of each batch, for which no other rows are read.

        Rows go to replicas by their place in the histories: each of them reads its own part of a
        log, and a little around it, since all have equally many rows of a batch.

        Args:
          numbers: of the replicas, from 0.
          count: how many there are in all.

        Returns:
          An iterator: of each batch one part a number.
        """
        for rows in self._rows:
            is_labeled = self._find_labels(rows)
            by_place = np.argsort(rows.starts, kind="stable")
            yield [
                self._for_replica(rows, is_labeled, np.array_split(by_place, count)[number])
                for number in numbers
            ]

    def _for_replica(self, rows: _Rows, is_labeled: np.ndarray, own: np.ndarray) -> ReplicaBatch:
        # Without a row of its own a replica computes something finite, and weighs it by 0.
        read = own if len(own) else np.zeros(1, np.int64)
        num_labels = int(is_labeled.sum())
        share = float(is_labeled[own].sum() / num_labels)
        return ReplicaBatch(self._make(rows.take(read), is_labeled[read]), share, num_labels)


def _pad(item_ids: np.ndarray, starts: np.ndarray, stops: np.ndarray, length: int) -> np.ndarray:
    """The last `length` of `item_ids[start:stop]`, a left-padded row for each pair."""
    if len(item_ids) == 0:
        return np.full((len(stops), length), PAD, np.int64)
    columns = stops[:, None] - np.arange(length, 0, -1)[None, :]
    is_real = _is_real(starts, stops, length)
    return np.where(is_real, item_ids[np.where(is_real, columns, 0)], PAD)


def _is_real(starts: np.ndarray, stops: np.ndarray, length: int) -> np.ndarray:
    """Which positions of left-padded rows hold an item: bool [B, length]."""
    return np.arange(length, 0, -1)[None, :] <= (stops - starts)[:, None]


def pad_rows(histories: Histories, users: np.ndarray, length: int) -> np.ndarray:
    """The last items of some histories as left-padded rows.

    Args:
      histories: where from.
      users: int [B], rows of `histories`.
      length: L.

    Returns:
      int64 [B, L].
    """
    starts, stops = histories.row_splits[users], histories.row_splits[users + 1]
    return _pad(histories.item_ids, starts, stops, length)


def suggest_positions_per_batch(num_positions: int, mean_length: float, max_length: int) -> int:
    """About a thousand steps an epoch, of a few histories or more: 128 to 1,024 positions.

    Args:
      num_positions: of an epoch.
      mean_length: items of a history, on average.
      max_length: items of a history that a model sees.

    Examples:
        >>> suggest_positions_per_batch(130_000, 7, 50)
        128
        >>> suggest_positions_per_batch(980_000, 160, 200)
        512
    """
    least = max(num_positions / 1000, 4 * min(mean_length, max_length), 128)
    return min(2 ** int(math.log2(least)), 1024)


def pad_item_sets(histories: Histories, users: np.ndarray) -> np.ndarray:
    """The items of some histories, each once, as left-padded rows in ascending order.

    Args:
      histories: where from.
      users: int [B], rows of `histories`.

    Returns:
      int64 [B, M], as wide as the largest set.
    """
    part = histories.take(users)
    base = part.item_ids.max(initial=0) + 1
    keys = np.unique(np.repeat(np.arange(len(users)), part.lengths) * base + part.item_ids)
    splits = np.searchsorted(keys, np.arange(len(users) + 1) * base)
    length = int(np.diff(splits).max(initial=0))
    return _pad(keys % base, splits[:-1], splits[1:], length)


def _places(is_labeled: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Where the marked positions [B, L] of rows that end before `stops` stand: int64 [N]."""
    rows, columns = np.nonzero(is_labeled)
    return stops[rows] - is_labeled.shape[1] + columns


def bucket_length(longest: int, max_length: int) -> int:
    """The padded length of rows: the next bucket, or `max_length`.

    Args:
      longest: items of the longest row.
      max_length: items a model sees at once.
    """
    return next((n for n in BUCKET_LENGTHS if longest <= n < max_length), max_length)


def next_item_batches(
    histories: Histories,
    *,
    max_length: int,
    positions_per_batch: int,
    seed: int,
    epoch: int,
    windows: str = "last",
) -> EpochBatches:
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

    Returns:
      Batches in random order.
    """
    generator = np.random.default_rng([seed, epoch])

    def make(rows: _Rows, is_labeled: np.ndarray) -> Batch:
        item_ids = _pad(histories.item_ids, rows.starts, rows.stops, rows.length)
        labels = _pad(histories.item_ids, rows.starts + 1, rows.stops + 1, rows.length)
        return Batch(item_ids, labels, _places(is_labeled, rows.stops))

    return EpochBatches(
        _rows_of_batches(histories, max_length, positions_per_batch, windows, generator),
        lambda rows: _is_real(rows.starts, rows.stops, rows.length),
        make,
    )


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
) -> EpochBatches:
    """One epoch of masked-item training: some items of each row are hidden, and are its labels.

    The last item of a row always is: that is where the next item is predicted later.

    Args:
      histories: the train split.
      max_length: items a model sees at once.
      positions_per_batch: B x L aimed at.
      seed: of the shuffling and of the masks.
      epoch: which epoch, from 0.
      windows: `last`: of a longer history the last `max_length` items alone; `all`: every item, in
        windows of up to `max_length` that are cut elsewhere in every epoch.
      mask_id: what stands for a masked item.
      mask_probability: of each item but the last.

    Returns:
      Batches in random order.
    """
    generator = np.random.default_rng([seed, epoch])

    def find_labels(rows: _Rows) -> np.ndarray:
        is_item = _is_real(rows.starts, rows.stops + 1, rows.length + 1)
        is_masked = (generator.random(is_item.shape) < mask_probability) & is_item
        is_masked[:, -1] = True
        return is_masked

    def make(rows: _Rows, is_masked: np.ndarray) -> Batch:
        items = _pad(histories.item_ids, rows.starts, rows.stops + 1, rows.length + 1)
        return Batch(
            np.where(is_masked, mask_id, items),
            np.where(is_masked, items, PAD),
            _places(is_masked, rows.stops + 1),
        )

    # An input and its last label.
    return EpochBatches(
        _rows_of_batches(histories, max_length - 1, positions_per_batch, windows, generator),
        find_labels,
        make,
    )


def _rows_of_batches(
    histories: Histories,
    max_length: int,
    positions_per_batch: int,
    windows: str,
    generator: np.random.Generator,
) -> list[_Rows]:
    """The rows of an epoch's batches, in random order."""
    starts, stops = _windows(histories, max_length, windows, generator)
    inputs = stops - starts
    # Random order within equal lengths: batches differ from epoch to epoch.
    order = np.lexsort((generator.random(len(inputs)), inputs))
    padded = np.array([bucket_length(n, max_length) for n in range(max_length + 1)])[inputs[order]]
    cuts = []
    for length in np.unique(padded):
        rows = order[padded == length]
        size = max(1, positions_per_batch // int(length))
        cuts += [(rows[i : i + size], int(length)) for i in range(0, len(rows), size)]
    shuffled = (cuts[index] for index in generator.permutation(len(cuts)))
    return [_Rows(starts[rows], stops[rows], length) for rows, length in shuffled]


def _windows(
    histories: Histories, max_length: int, windows: str, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where inputs start and stop, 1 to `max_length` items each; their labels are one later."""
    firsts, lasts = histories.row_splits[:-1], histories.row_splits[1:] - 1
    has_label = lasts > firsts
    firsts, lasts = firsts[has_label], lasts[has_label]
    if windows == "last":
        return np.maximum(firsts, lasts - max_length), lasts
    sizes = lasts - firsts
    # The newest window of a long history has a random size, so that cuts move between epochs.
    newest = np.where(sizes > max_length, generator.integers(1, max_length + 1, len(sizes)), sizes)
    counts = 1 + -(-(sizes - newest) // max_length)
    firsts, lasts, newest = (np.repeat(values, counts) for values in (firsts, lasts, newest))
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    is_older = place > 0
    stops = lasts - np.where(is_older, newest + (place - 1) * max_length, 0)
    return np.maximum(firsts, stops - np.where(is_older, max_length, newest)), stops


def count_batches(batches: Sized) -> int:
    """How many batches an epoch has.

    Raises:
      ValueError: none at all.
    """
    if len(batches) == 0:
        raise ValueError(
            "Training needs histories of at least two items besides the validation and the test "
            "item. Received: none; lower the minimum counts or bring a longer log."
        )
    return len(batches)


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
        end = start + max(1, positions_per_batch // length)
        # Rows of the next bucket wait for the next batch.
        if length < max_length:
            end = min(end, int(np.searchsorted(inputs, length, side="right")))
        rows = users[start:end]
        yield rows, pad_rows(histories, rows, length)
        start = end
