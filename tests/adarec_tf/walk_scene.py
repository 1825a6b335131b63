"""A learnable toy scene: every user walks round a ring of items with a stride of one's own."""

import numpy as np

from adarec_tf.data.histories.histories import Histories

NUM_ITEMS = 16
MAX_LENGTH = 8


def histories(num_users: int = 120, seed: int = 0) -> dict[str, Histories]:
    """Split name to leave-one-out histories; the stride of 1 or 2 shows in the last two items."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(4, 11, num_users)
    starts = generator.integers(0, NUM_ITEMS, num_users)
    strides = generator.integers(1, 3, num_users)
    walks = [
        (start + stride * np.arange(length)) % NUM_ITEMS + 1
        for start, stride, length in zip(starts, strides, lengths, strict=True)
    ]
    return {
        "train": _split(walks, 2, False),
        "valid": _split(walks, 2, True),
        "test": _split(walks, 1, True),
    }


def _split(walks: list[np.ndarray], num_held_out: int, has_target: bool) -> Histories:
    rows = [walk[:-num_held_out] for walk in walks]
    targets = [walk[-num_held_out] if has_target else 0 for walk in walks]
    keys = np.array([f"user{row}".encode() for row in range(len(rows))], object)
    row_splits = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return Histories(keys, np.concatenate(rows), row_splits, np.array(targets, np.int64))
