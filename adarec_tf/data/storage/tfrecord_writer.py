"""Compressed TFRecord files of many records at a time.

TensorFlow's own writer takes a record a call, and lets go of the interpreter in each: two threads
that write then spend most of their time waiting for each other. Here the records of a part are
framed together and compressed in one call.

Reference:
  https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
"""

import zlib
from types import TracebackType

import numpy as np
import tensorflow as tf

from adarec_tf.data.storage import proto_wire as ragged_bytes
from adarec_tf.data.storage.checksums import masked_crc32c
from adarec_tf.data.storage.proto_wire import RaggedBytes

# The window of zlib with a header of gzip, which it writes without a time: equal records are equal
# files.
_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS


class RecordWriter:
    """A context that writes a GZIP TFRecord file."""

    def __init__(self, path: str) -> None:
        self._file = tf.io.gfile.GFile(path, "wb")
        self._compressor = zlib.compressobj(wbits=_GZIP_WINDOW_BITS)

    def write(self, records: RaggedBytes) -> None:
        """Adds records."""
        self._file.write(self._compressor.compress(frame(records).data.tobytes()))

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finishes the file."""
        self._file.write(self._compressor.flush())
        self._file.close()


def frame(records: RaggedBytes) -> RaggedBytes:
    """Records as they lie in a file: length, its checksum, the record, its checksum."""
    lengths = _integers(records.lengths.astype("<u8"))
    crcs = [_integers(masked_crc32c(column).astype("<u4")) for column in (lengths, records)]
    return ragged_bytes.join((lengths, crcs[0], records, crcs[1]))


def _integers(values: np.ndarray) -> RaggedBytes:
    """Integers as the bytes they are in memory."""
    return RaggedBytes(values.view(np.uint8), np.full(len(values), values.itemsize))
