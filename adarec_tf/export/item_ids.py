"""Item ids inside the served graph: compacting histories, taking candidates out."""

import tensorflow as tf

from adarec_tf.sequence_model import PAD


def latest_items(
    item_ids: tf.Tensor, num_latest: int, max_length: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Drops PAD wherever it stands and keeps the last items, the latest first.

    Args:
      item_ids: int64 [B, N], oldest first, PAD anywhere.
      num_latest: items to keep at most.
      max_length: items to count at most.

    Returns:
      The items kept, int64 [B, W], then PAD; W is the longest row kept (at least 1), so padding
      costs the model nothing. And the number of items in each row, int32 [B].
    """
    is_item = tf.not_equal(item_ids, PAD)
    counts = tf.cast(is_item, tf.int32)
    num_later = tf.cumsum(counts, axis=1, exclusive=True, reverse=True)
    num_items = tf.minimum(tf.reduce_sum(counts, axis=1), max_length)
    # Of no rows the maximum is the lowest integer.
    width = tf.clip_by_value(tf.reduce_max(num_items), 1, num_latest)
    places = tf.where(is_item & (num_later < width))
    columns = tf.cast(tf.gather_nd(num_later, places), tf.int64)
    latest = tf.scatter_nd(
        tf.stack([places[:, 0], columns], axis=1),
        tf.gather_nd(item_ids, places),
        tf.cast(tf.stack([tf.shape(item_ids)[0], width]), tf.int64),
    )
    return latest, num_items


def exclude_items(scores: tf.Tensor, item_ids: tf.Tensor) -> tf.Tensor:
    """Sets the scores of the given items to -inf.

    Args:
      scores: float32 [B, V], column j for item j + 1.
      item_ids: int64 [B, N], or [1, N] for all rows; PAD is ignored.

    Returns:
      float32 [B, V].
    """
    item_ids = tf.broadcast_to(item_ids, [tf.shape(scores)[0], tf.shape(item_ids)[1]])
    places = tf.where(tf.not_equal(item_ids, PAD))
    columns = tf.gather_nd(item_ids, places) - 1
    return tf.tensor_scatter_nd_update(
        scores,
        tf.stack([places[:, 0], columns], axis=1),
        tf.fill(tf.shape(columns), -float("inf")),
    )


def mark_items(item_ids: tf.Tensor, num_items: int) -> tf.Tensor:
    """Which items of the catalogue are in each list.

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
