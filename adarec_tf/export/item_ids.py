"""Item ids inside the served graph: compacting histories, taking candidates out, the best ones."""

import tensorflow as tf

from adarec_tf.data.histories.vocabulary import PAD

_BLOCK_ITEMS = 64
# With fewer items, what a second stage spares is less than its operations cost. With so many the
# best 100 take as long either way, and the best 10 half as long in blocks.
_MIN_ITEMS_FOR_BLOCKS = 20_000


def latest_items(
    item_ids: tf.Tensor, receptive_field: int, max_length: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Drops PAD wherever it stands and keeps the last items, the latest first.

    Args:
      item_ids: int64 [B, N], oldest first, PAD anywhere.
      receptive_field: items to keep at most.
      max_length: items to count at most.

    Returns:
      The items kept, int64 [B, receptive_field], then PAD. And the number of items in each row,
      int64 [B, 1].
    """
    # So that there are enough to choose of.
    item_ids = tf.pad(item_ids, [[0, 0], [receptive_field, 0]])
    is_item = tf.sign(item_ids)
    # Items are numbered from 1 in their order, and what is no item comes after all of them.
    numbers, places = tf.math.top_k(tf.cumsum(is_item, axis=1) * is_item, receptive_field)
    latest = tf.gather(item_ids, places, batch_dims=1)
    return latest, tf.minimum(numbers[:, :1], max_length)


def exclude_items(scores: tf.Tensor, item_ids: tf.Tensor) -> tf.Tensor:
    """Sets the scores of the given items to -inf.

    Args:
      scores: float32 [B, V], column j for item j + 1.
      item_ids: int64 [B, N]; PAD is ignored.

    Returns:
      float32 [B, V].
    """
    places = tf.where(item_ids)  # of PAD there is none, being 0
    columns = tf.gather_nd(item_ids, places) - 1
    return tf.tensor_scatter_nd_update(
        scores,
        tf.stack([places[:, 0], columns], axis=1),
        tf.fill(tf.shape(columns), -float("inf")),
    )


def exclude_listed(scores: tf.Tensor, item_ids: tf.Tensor) -> tf.Tensor:
    """Sets the scores of listed items to -inf.

    Args:
      scores: float32 [B, V], column j for item j + 1.
      item_ids: int64 [B, N], a list for each row, or [1, N], one for all; PAD is ignored.
    """
    rows_and_columns = [tf.shape(scores)[0], tf.shape(item_ids)[1]]
    return exclude_items(scores, tf.broadcast_to(item_ids, rows_and_columns))


def mark_items(item_ids: tf.Tensor, num_items: int) -> tf.Tensor:
    """Which items of the catalog are in each list.

    Args:
      item_ids: int64 [B, N], PAD is ignored.
      num_items: V.

    Returns:
      bool [B, V], column j for item j + 1.
    """
    places = tf.where(tf.not_equal(item_ids, PAD))
    columns = tf.gather_nd(item_ids, places) - 1
    num_lists = tf.shape(item_ids, tf.int64)[0]
    counts = tf.scatter_nd(
        tf.stack([places[:, 0], columns], axis=1),
        tf.ones_like(columns, tf.int32),
        tf.stack([num_lists, num_items]),
    )
    return counts > 0


def best_items(scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the best items of a catalog.

    Args:
      scores: float32 [B, V], V static.
      k: int32 [], K, from 1 to V.

    Returns:
      Scores, float32 [B, K], and columns, int32 [B, K]: best first, and of equal ones the first.
    """
    if scores.shape[1] < _MIN_ITEMS_FOR_BLOCKS:
        return tf.math.top_k(scores, k)
    return best_of_blocks(scores, k)


def best_of_blocks(scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What `best_items` gives, exactly, in a fraction of the time where there are many items.

    An item among the best k is in a block with one of the best k maxima: each better block holds a
    better item. A maximum a block is cheap; comparing one by one is for items of those blocks.

    Args:
      scores: float32 [B, V], V static.
      k: int32 [], K, from 1 to V.
    """
    num_items = scores.shape[1]
    num_blocks = -(-num_items // _BLOCK_ITEMS)
    missing = [[0, 0], [0, num_blocks * _BLOCK_ITEMS - num_items]]
    if missing[1][1]:
        scores = tf.pad(scores, missing, constant_values=-float("inf"))
    blocks = tf.reshape(scores, [-1, num_blocks, _BLOCK_ITEMS])
    num_best = tf.minimum(k, num_blocks)
    best_blocks = tf.math.top_k(tf.reduce_max(blocks, axis=2), num_best).indices
    best_blocks = tf.sort(best_blocks, axis=1)  # in the catalog's order, so that the first wins
    candidates = tf.gather(blocks, best_blocks, batch_dims=1)
    best = tf.math.top_k(tf.reshape(candidates, [-1, num_best * _BLOCK_ITEMS]), k)
    block = tf.gather(best_blocks, best.indices // _BLOCK_ITEMS, batch_dims=1)
    return best.values, block * _BLOCK_ITEMS + best.indices % _BLOCK_ITEMS
