"""A history as a `tf.train.Example`, by the protocol buffer library: nothing shared with ours."""

from collections.abc import Iterable

import tensorflow as tf


def serialize_history(user_key: bytes, item_ids: Iterable[int], target: int) -> bytes:
    """A target of 0 is left out."""
    features = {
        "user_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[user_key])),
        "history": tf.train.Feature(int64_list=tf.train.Int64List(value=item_ids)),
    }
    if target != 0:
        features["target"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[target]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
