import gzip
from pathlib import Path

import numpy as np
import tensorflow as tf

from adarec_tf.data.storage.proto_wire import RaggedBytes
from adarec_tf.data.storage.tfrecord_writer import RecordWriter

RECORDS = [b"", b"a", bytes(range(256)) * 20, b"last"]


def test_a_file_is_as_tensorflow_writes_it(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.gz", tmp_path / "theirs"
    with RecordWriter(str(ours)) as writer:
        for part in (RECORDS[:3], [], RECORDS[3:]):
            lengths = np.array([len(record) for record in part], np.int64)
            writer.write(RaggedBytes(np.frombuffer(b"".join(part), np.uint8), lengths))
    with tf.io.TFRecordWriter(str(theirs)) as stock:
        for record in RECORDS:
            stock.write(record)
    assert gzip.decompress(ours.read_bytes()) == theirs.read_bytes()
    read = tf.data.TFRecordDataset(str(ours), "GZIP")
    assert [record.numpy() for record in read] == RECORDS


def test_the_time_of_writing_is_not_in_a_file(tmp_path: Path) -> None:
    with RecordWriter(str(tmp_path / "empty.gz")):
        pass
    content = (tmp_path / "empty.gz").read_bytes()
    assert content[4:8] == bytes(4)
    assert gzip.decompress(content) == b""
