from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from adarec_tf.data.log import tfrecord_reader as interaction_records
from adarec_tf.data.log.errors import InteractionsError
from adarec_tf.data.log.interactions import inspect_log, read_interactions
from adarec_tf.data.log.readers import InteractionColumns

COLUMNS = InteractionColumns("who", "what", "when")
ROWS = [("zoë", 7, 3), ("", 8, 4), ("ann", 2**40, -5)]


def serialize(user: str | bytes | list[str], item: int | str, time: float) -> bytes:
    feature: dict[str, tf.train.Feature] = {}
    for name, value in zip((*COLUMNS.names, "extra"), (user, item, time, 1), strict=True):
        values: list[Any] = value if isinstance(value, list) else [value]
        if isinstance(value, int):
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        elif isinstance(value, float):
            feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            encoded = [text if isinstance(text, bytes) else text.encode() for text in values]
            feature[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(path: Path, records: list[bytes]) -> str:
    compression = "GZIP" if path.suffix == ".gz" else ""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def read(path: str) -> list[tuple]:
    batches = read_interactions(path, COLUMNS, time_scale=inspect_log([path], COLUMNS).time_scale)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("name", ["log.tfrecord", "log.tfrecord.gz"])
def test_features_are_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(interaction_records, "_BLOCK_ROWS", 2)
    rows = [ROWS[0], ("u", 8, 4), ROWS[2]]
    path = write(tmp_path / name, [serialize(*row) for row in rows])
    assert read(path) == [("zoë", "7", 3), ("u", "8", 4), ("ann", str(2**40), -5)]


def test_event_types_are_features_too(tmp_path: Path) -> None:
    path = write(tmp_path / "log.tfrecord", [serialize(*row) for row in (ROWS[0], ROWS[2])])
    columns = COLUMNS._replace(event="extra")
    [batch] = read_interactions(path, columns)
    assert batch["event"].to_pylist() == ["1", "1"]
    assert inspect_log([path], columns).event_counts == {"1": 2}
    with pytest.raises(InteractionsError, match="with one value of `event` each"):
        inspect_log([path], COLUMNS._replace(event="event"))


def test_fractions_of_time_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "log.tfrecord", [serialize("u", "i", 0.5), serialize("u", "j", 2.25)])
    assert [row[2] for row in read(path)] == [500_000, 2_250_000]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([serialize(*row) for row in ROWS], r"log\.tfrecord, row 2: `who` should be an id"),
        ([b"\xff\xff"], "should hold `tf.train.Example`s. Received: other bytes"),
        (
            [serialize("u", 1, 2), serialize(["u", "v"], 1, 2)],
            r"one value of `who` each, string as in the first row. Received in row 2: \[b'u', b'v'",
        ),
        (
            [serialize("u", 1, 2), serialize("u", "i", 2)],
            r"one value of `what` each, int64 as in the first row. Received in row 2: \[b'i'\]",
        ),
        (
            [tf.train.Example().SerializeToString()],
            "with one value of `who` each. Received the features: none",
        ),
        ([serialize(b"\xff", 1, 2)], "should hold text in UTF-8"),
        ([], "should hold interactions. Received: no rows"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    tmp_path: Path, records: list[bytes], message: str
) -> None:
    path = write(tmp_path / "log.tfrecord", records)
    with pytest.raises(InteractionsError, match=message):
        read(path)


def test_a_file_cut_short_is_an_error(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "log.tfrecord", [serialize("u", 1, 2)] * 3))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InteractionsError, match="should be a whole TFRecord file"):
        read(str(path))
