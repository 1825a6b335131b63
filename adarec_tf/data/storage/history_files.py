"""Split histories on disk: shards of each split, beside `statistics.json` and their manifest.

A shard is a Parquet file in `Split-{train,valid,test}/` with the columns `user_id` (binary),
`history` (list of int64) and, but for the train split, `target` (int64). Equal histories are equal
files.
"""

import dataclasses
import hashlib
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from adarec_tf.data.histories.histories import Histories, join_histories
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.data.storage.atomic_file import written_whole
from adarec_tf.data.storage.manifest import Shard, list_shards, read_shard

SPLITS = Splits._fields
STATISTICS_FILE = "statistics.json"
_ROW_GROUP = 1 << 14  # histories


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


def read_histories(sequences_dir: str, split: str) -> Histories:
    """Reads one split into memory.

    Args:
      sequences_dir: what the sequence preprocessor wrote.
      split: `train`, `valid` or `test`.

    Returns:
      The histories, in the order of the files and their rows.

    Raises:
      ValueError: the split is unknown, has no files, or a file is not as it was written.
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` should be one of {', '.join(SPLITS)}. Received: split={split!r}."
        )
    shards = list_shards(sequences_dir, f"Split-{split}")
    return join_histories([_from_parquet(sequences_dir, shard) for shard in shards])


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


def _from_parquet(sequences_dir: str, shard: Shard) -> Histories:
    table = pa.parquet.read_table(pa.BufferReader(read_shard(sequences_dir, shard)))
    if len(table) != shard.num_histories:
        raise ValueError(
            f"{os.path.join(sequences_dir, shard.name)} should hold {shard.num_histories} "
            f"histories. Received: {len(table)}. Write the sequences again."
        )
    history = table["history"].combine_chunks()
    targets = np.full(len(table), PAD, np.int64)
    return Histories(
        table["user_id"].to_numpy(),
        history.flatten().to_numpy(),
        history.offsets.to_numpy().astype(np.int64),
        table["target"].to_numpy() if "target" in table.column_names else targets,
    )


def write_statistics(sequences_dir: str, statistics: SequenceStatistics) -> None:
    """Writes `statistics.json` into the directory of the sequences."""
    with tf.io.gfile.GFile(os.path.join(sequences_dir, STATISTICS_FILE), "w") as file:
        file.write(json.dumps(dataclasses.asdict(statistics), indent=2, sort_keys=True) + "\n")


def read_statistics(sequences_dir: str) -> SequenceStatistics:
    """Reads what `write_statistics` wrote.

    Raises:
      ValueError: the directory holds no sequences, or those of another version.
    """
    path = os.path.join(sequences_dir, STATISTICS_FILE)
    if not tf.io.gfile.exists(path):
        raise ValueError(
            f"A sequences directory should hold {STATISTICS_FILE}. Received: {sequences_dir}."
        )
    with tf.io.gfile.GFile(path) as file:
        values = json.loads(file.read())
    names = {item.name for item in dataclasses.fields(SequenceStatistics)}
    if set(values) != names:
        raise ValueError(
            f"{path} should have the keys {sorted(names)}. Received: {sorted(values)}."
        )
    return SequenceStatistics(**values)
