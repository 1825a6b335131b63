"""Histories as serialized `tf.train.Example`s, many at a time.

An Example has the features `history`, `target` (left out of a training history, which has none)
and `user_id`. The bytes are those of `SerializeToString(deterministic=True)`, which orders features
by name: map fields have no order of their own, and equal histories should be equal in bytes.
"""

import numpy as np
import pyarrow as pa

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.data.storage import proto_wire as wire

# Field numbers of the messages in tensorflow/core/example/{example,feature}.proto.
_FEATURES, _FEATURE_MAP, _KEY, _VALUE, _LIST_VALUE = 1, 1, 1, 2, 1
_BYTES_LIST, _INT64_LIST = 1, 3


def serialize_histories(histories: Histories) -> wire.RaggedBytes:
    """One record a user.

    Args:
      histories: all with a target, or all without one (PAD).

    Returns:
      Serialized Examples, in the users' order.

    Raises:
      ValueError: some histories have a target and others have none.
    """
    num_users = histories.num_users
    history = wire.packed_varints(histories.item_ids, histories.row_splits)
    features = [_feature("history", _int64_list(history), num_users)]
    has_target = histories.targets != PAD
    if has_target.any():
        if not has_target.all():
            raise ValueError(
                "Histories should all have a target, or none of them should. "
                f"Received: {has_target.sum()} of {num_users} with one."
            )
        target = wire.varints(histories.targets)
        features.append(_feature("target", _int64_list(target), num_users))
    keys = wire.of_text(pa.array(histories.user_keys, pa.binary()))
    bytes_list = wire.field(_LIST_VALUE, (keys,))
    features.append(_feature("user_id", wire.field(_BYTES_LIST, bytes_list), num_users))
    return wire.join(wire.field(_FEATURES, wire.message(features)))


def _int64_list(packed: wire.RaggedBytes) -> wire.Columns:
    """The value of a feature of integers; a list without any has no field for them."""
    *header, values = wire.field(_LIST_VALUE, (packed,))
    shown = tuple(_only_where(packed.lengths > 0, column) for column in header)
    return wire.field(_INT64_LIST, (*shown, values))


def _only_where(is_kept: np.ndarray, column: wire.RaggedBytes) -> wire.RaggedBytes:
    """Empty strings in all other rows."""
    data = column.data[np.repeat(is_kept, column.lengths)]
    return wire.RaggedBytes(data, np.where(is_kept, column.lengths, 0))


def _feature(name: str, value: wire.Columns, num_users: int) -> wire.Columns:
    """An entry of the map of features."""
    key = wire.field(_KEY, (wire.repeat(name.encode(), num_users),))
    return wire.field(_FEATURE_MAP, wire.message([key, wire.field(_VALUE, value)]))
