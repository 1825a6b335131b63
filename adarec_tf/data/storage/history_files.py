"""Split histories on disk: shards of each split, `statistics.json`, and a manifest of the shards.

A shard is a Parquet file in `Split-{train,valid,test}/` with the columns `user_id` (binary),
`history` (list of int64) and, but for the train split, `target` (int64). Equal histories are equal
files. The manifest, `shards.json`, has a count and a checksum of each, against which files are
checked when they are read: a shard that was cut short would otherwise be a smaller data set.
"""

import dataclasses
import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from adarec_tf.data.histories.histories import Histories, join_histories
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.data.storage.atomic_file import written_whole

SPLITS = Splits._fields
STATISTICS_FILE = "statistics.json"
MANIFEST_FILE = "shards.json"
_ROW_GROUP = 1 << 14  # histories
_NO_ITEMS = np.zeros(0, np.int64)


class Shard(NamedTuple):
    """A file of histories.

    Attributes:
      name: its path in the directory of the sequences, with forward slashes.
      num_histories: rows in it.
      sha256: of its bytes, in hex.
    """

    name: str
    num_histories: int
    sha256: str


def write_shard(
    sequences_dir: str, number: int, num_shards: int, splits: Splits, scratch: str
) -> list[Shard]:
    """Writes a shard of each split, also where it has no histories.

    Args:
      sequences_dir: has the folders `Split-{train,valid,test}`.
      number: of the shard, from 0.
      num_shards: how many there are.
      splits: the histories of the shard.
      scratch: a folder for what is not complete.

    Returns:
      What was written.
    """
    shards = []
    for split, histories in splits._asdict().items():
        name = f"Split-{split}/part-{number:05d}-of-{num_shards:05d}.parquet"
        content = _to_parquet(histories, has_targets=split != "train")
        with (
            written_whole(os.path.join(sequences_dir, name), scratch) as path,
            tf.io.gfile.GFile(path, "wb") as file,
        ):
            file.write(content)
        checksum = hashlib.sha256(content).hexdigest()
        shards.append(Shard(name, histories.num_users, checksum))
    return shards


def write_manifest(sequences_dir: str, shards: Iterable[Shard]) -> None:
    """Writes `shards.json`: name to count and checksum, by name.

    Args:
      sequences_dir: the directory of the sequences.
      shards: of all splits.
    """
    entries = {
        shard.name: {"num_histories": shard.num_histories, "sha256": shard.sha256}
        for shard in sorted(shards)
    }
    with tf.io.gfile.GFile(os.path.join(sequences_dir, MANIFEST_FILE), "w") as file:
        file.write(json.dumps(entries, indent=2) + "\n")


def write_statistics(sequences_dir: str, statistics: SequenceStatistics) -> None:
    """Writes `statistics.json`.

    Args:
      sequences_dir: the directory of the sequences.
      statistics: what was counted of them.
    """
    with tf.io.gfile.GFile(os.path.join(sequences_dir, STATISTICS_FILE), "w") as file:
        file.write(json.dumps(dataclasses.asdict(statistics), indent=2, sort_keys=True) + "\n")


def list_shards(sequences_dir: str, split: str) -> list[Shard]:
    """The shards of a split, by name.

    Args:
      sequences_dir: the directory of the sequences.
      split: `train`, `valid` or `test`.

    Raises:
      ValueError: the split is unknown, or there is no manifest, or other files than it lists.
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` should be one of {', '.join(SPLITS)}. Received: split={split!r}."
        )
    entries, folder = _read_json(sequences_dir, MANIFEST_FILE), f"Split-{split}"
    shards = [Shard(name, **entry) for name, entry in sorted(entries.items())]
    shards = [shard for shard in shards if shard.name.startswith(f"{folder}/")]
    listed = {shard.name for shard in shards}
    files = tf.io.gfile.glob(os.path.join(sequences_dir, folder, "*"))
    found = {f"{folder}/{os.path.basename(name)}" for name in files}
    if found != listed:
        raise ValueError(
            f"{os.path.join(sequences_dir, folder)} should hold the shards that {MANIFEST_FILE} "
            f"lists. Received: missing {sorted(listed - found)}, not listed "
            f"{sorted(found - listed)}. Write the sequences again."
        )
    return shards


def read_histories(sequences_dir: str, split: str) -> Histories:
    """Reads one split.

    Its items go to a temporary file without a name, and are mapped from there: what a training does
    not look at may leave memory, whatever the size of the log.

    Args:
      sequences_dir: what the sequence preprocessor wrote.
      split: `train`, `valid` or `test`.

    Returns:
      The histories, in the order of the files and their rows; items can be read only.

    Raises:
      ValueError: the split is unknown, has no files, or a file is not as it was written.
    """
    without_items = []
    with tempfile.TemporaryFile() as file:
        for shard in list_shards(sequences_dir, split):
            part = _read_shard(sequences_dir, shard)
            part.item_ids.tofile(file)
            without_items.append(part._replace(item_ids=_NO_ITEMS))
        file.flush()
        is_empty = file.tell() == 0
        mapped = b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return join_histories(without_items)._replace(item_ids=np.frombuffer(mapped, np.int64))


def read_statistics(sequences_dir: str) -> SequenceStatistics:
    """Reads what `write_statistics` wrote.

    Raises:
      ValueError: the directory holds no sequences, or those of another version.
    """
    values = _read_json(sequences_dir, STATISTICS_FILE)
    names = {item.name for item in dataclasses.fields(SequenceStatistics)}
    if set(values) != names:
        raise ValueError(
            f"{os.path.join(sequences_dir, STATISTICS_FILE)} should have the keys {sorted(names)}. "
            f"Received: {sorted(values)}."
        )
    return SequenceStatistics(**values)


def _read_json(sequences_dir: str, name: str) -> dict:
    path = os.path.join(sequences_dir, name)
    if not tf.io.gfile.exists(path):
        raise ValueError(
            f"A sequences directory should hold {name}. Received: none in {sequences_dir}."
        )
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def _to_parquet(histories: Histories, has_targets: bool) -> bytes:
    columns = {
        "user_id": pa.array(histories.user_keys, pa.binary()),
        "history": pa.ListArray.from_arrays(
            pa.array(histories.row_splits, pa.int32()), pa.array(histories.item_ids)
        ),
    }
    if has_targets:
        columns["target"] = pa.array(histories.targets)
    sink = pa.BufferOutputStream()
    # Without dictionaries the compressed file is smaller, and written in less time.
    pa.parquet.write_table(
        pa.table(columns),
        sink,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        use_dictionary=False,
    )
    return sink.getvalue().to_pybytes()


def _read_shard(sequences_dir: str, shard: Shard) -> Histories:
    path = os.path.join(sequences_dir, shard.name)
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != shard.sha256:
        raise ValueError(
            f"{path} should have the SHA-256 {shard.sha256}, as it was written. "
            f"Received: {checksum}. Write the sequences again."
        )
    table = pa.parquet.read_table(pa.BufferReader(content))
    if len(table) != shard.num_histories:
        raise ValueError(
            f"{path} should hold {shard.num_histories} histories. Received: {len(table)}. "
            "Write the sequences again."
        )
    history = table["history"].combine_chunks()
    targets = np.full(len(table), PAD, np.int64)
    return Histories(
        table["user_id"].to_numpy(),
        history.flatten().to_numpy(),
        history.offsets.to_numpy().astype(np.int64),
        table["target"].to_numpy() if "target" in table.column_names else targets,
    )
