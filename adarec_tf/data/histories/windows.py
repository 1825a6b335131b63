"""Windows of long training histories: stretches of a fixed length, each a record of its own.

A window shares its first items with the end of the one before, and is a history like any other: its
items but the first are what is predicted. Windows are cut from the end of a history, so the oldest
may be shorter. With an overlap of 1, each item of a history but its first is predicted in exactly
one window; a wider overlap gives more of a past to the items after it, and the items in it but the
first of a window are predicted again. Nothing here is random: `batches` cuts histories elsewhere in
each epoch (`training.windows=all`).
"""

import numpy as np

from adarec_tf.data.histories.histories import Histories


def cut_windows(histories: Histories, length: int, overlap: int) -> Histories:
    """Cuts the histories that are longer than a window.

    Args:
      histories: of training; without targets.
      length: items of a window, W.
      overlap: items that neighbors share, 1 to W - 1.

    Returns:
      The windows, the oldest of a history first, each under the key of its user.
    """
    lengths, stride = histories.lengths, length - overlap
    counts = 1 + np.maximum(0, -(-(lengths - length) // stride))
    users = np.repeat(np.arange(histories.num_users), counts)
    num_newer = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(users))
    stops = histories.row_splits[users + 1] - num_newer * stride
    starts = np.maximum(histories.row_splits[users], stops - length)
    row_splits = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int64)
    places = np.repeat(starts - row_splits[:-1], stops - starts) + np.arange(row_splits[-1])
    return Histories(
        histories.user_keys[users], histories.item_ids[places], row_splits, histories.targets[users]
    )
