"""TFRecord files of `tf.train.Example`s as raw interaction logs: three features as blocks."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from google.protobuf.message import DecodeError

from adarec_tf.data.log.errors import InteractionsError

_BLOCK_ROWS = 1 << 16
_TYPES = {"bytes_list": tf.string, "int64_list": tf.int64, "float_list": tf.float32}


def read_records(path: str, compression: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Reads some features of every example.

    Args:
      path: a TFRecord file.
      compression: `GZIP`, or empty.
      names: of features with one value in every example; of one type throughout the file.

    Yields:
      Batches with a column for each name: string, int64 or double.

    Raises:
      InteractionsError: a record is damaged, is no example, or has not one value of a feature.
    """
    dataset = tf.data.TFRecordDataset(path, compression)
    try:
        for first in dataset.take(1):
            kinds = {name: _find_type(path, first.numpy(), name) for name in names}
        for number, serialized in enumerate(dataset.batch(_BLOCK_ROWS)):
            try:
                features = tf.io.parse_example(
                    serialized,
                    {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()},
                )
            except tf.errors.InvalidArgumentError as error:
                row = number * _BLOCK_ROWS + 1
                raise _row_error(path, serialized, row, kinds, error) from error
            arrays = [_to_arrow(path, features[name]) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, names=list(names))
    except tf.errors.DataLossError as error:
        raise InteractionsError(
            f"{path} should be a whole TFRecord file. Received: {error.message}"
        ) from error


def _find_type(path: str, record: bytes, name: str) -> tf.DType:
    feature = _read_features(path, record)
    kind = feature[name].WhichOneof("kind") if name in feature else None
    if kind is None:
        found = ", ".join(sorted(feature)) or "none"
        raise InteractionsError(
            f"{path} should hold examples with one value of `{name}` each. "
            f"Received the features: {found}."
        )
    return _TYPES[kind]


def _read_features(path: str, record: bytes, place: str = "") -> Any:
    """The features of an example, by name; an error says in which row it is none."""
    try:
        return tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise InteractionsError(
            f"{path} should hold `tf.train.Example`s. Received{place}: other bytes."
        ) from error


def _to_arrow(path: str, values: tf.Tensor) -> pa.Array:
    """Text as one buffer, and not as an object a row."""
    if values.dtype != tf.string:
        array = pa.array(values.numpy())
        return array.cast(pa.float64()) if pa.types.is_floating(array.type) else array
    offsets = np.cumsum([0, *tf.strings.length(values).numpy()], dtype=np.int32)
    data = tf.strings.reduce_join(values).numpy()
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    try:
        return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers).cast(pa.string())
    except pa.ArrowInvalid as error:
        raise InteractionsError(
            f"{path} should hold text in UTF-8. Received: other bytes."
        ) from error


def _row_error(
    path: str, serialized: tf.Tensor, first_row: int, kinds: dict[str, tf.DType], error: Exception
) -> InteractionsError:
    """Which row of a block cannot be read."""
    for row, record in enumerate(serialized.numpy(), first_row):
        feature = _read_features(path, record, f" in row {row}")
        for name, kind in kinds.items():
            found = feature[name].WhichOneof("kind") if name in feature else None
            values = list(getattr(feature[name], found).value) if found else []
            if len(values) != 1 or _TYPES[str(found)] != kind:
                return InteractionsError(
                    f"{path} should hold examples with one value of `{name}` each, {kind.name} as "
                    f"in the first row. Received in row {row}: {values}."
                )
    return InteractionsError(f"{path} should hold `tf.train.Example`s. Received: {error}.")
