"""The list of the shards of split histories, with a count and a checksum each.

It lies beside the shards as `shards.json`. Whoever reads a split has its files checked against it:
a shard that was cut short or changed would otherwise be a smaller or another data set.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

MANIFEST_FILE = "shards.json"


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


def list_shards(sequences_dir: str, folder: str) -> list[Shard]:
    """The shards of a folder, by name.

    Args:
      sequences_dir: the directory of the sequences.
      folder: in it, such as `Split-train`.

    Raises:
      ValueError: there is no manifest, or other files than it lists.
    """
    path = os.path.join(sequences_dir, MANIFEST_FILE)
    if not tf.io.gfile.exists(path):
        raise ValueError(
            f"A sequences directory should hold {MANIFEST_FILE}. Received: none in {sequences_dir}."
        )
    with tf.io.gfile.GFile(path) as file:
        entries = json.loads(file.read())
    shards = [Shard(name, **entry) for name, entry in sorted(entries.items())]
    shards = [shard for shard in shards if shard.name.startswith(f"{folder}/")]
    listed = {shard.name for shard in shards}
    files = tf.io.gfile.glob(os.path.join(sequences_dir, folder, "*"))
    found = {f"{folder}/{os.path.basename(name)}" for name in files}
    if found != listed:
        raise ValueError(
            f"{os.path.join(sequences_dir, folder)} should hold the shards that {path} lists. "
            f"Received: missing {sorted(listed - found)}, not listed {sorted(found - listed)}. "
            "Write the sequences again."
        )
    return shards


def read_shard(sequences_dir: str, shard: Shard) -> bytes:
    """The content of a file, checked.

    Args:
      sequences_dir: the directory of the sequences.
      shard: of the manifest.

    Raises:
      ValueError: the file has other bytes than were written.
    """
    path = os.path.join(sequences_dir, shard.name)
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != shard.sha256:
        raise ValueError(
            f"{path} should have the SHA-256 {shard.sha256}, as it was written. "
            f"Received: {checksum}. Write the sequences again."
        )
    return content
