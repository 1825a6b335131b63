"""The list of the shards of split histories, with a count and a checksum each.

It lies beside the sequences as `shards.json`. Whoever reads a split has its files checked against
it: a shard that was cut short or changed would otherwise be a smaller or another data set.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

MANIFEST_FILE = "shards.json"
_READ_BYTES = 16 << 20


class Shard(NamedTuple):
    """A file of histories.

    Attributes:
      name: its path in the directory of the sequences, with forward slashes.
      num_histories: records in it.
      sha256: of its bytes, in hex.
    """

    name: str
    num_histories: int
    sha256: str


def describe_shard(sequences_dir: str, name: str, num_histories: int) -> Shard:
    """The entry of a file that was just written."""
    return Shard(name, num_histories, _sha256(os.path.join(sequences_dir, name)))


def write_manifest(sequences_dir: str, shards: Iterable[Shard]) -> None:
    """Writes `shards.json`: name to count and checksum, by name."""
    entries = {
        shard.name: {"num_histories": shard.num_histories, "sha256": shard.sha256}
        for shard in sorted(shards)
    }
    with tf.io.gfile.GFile(os.path.join(sequences_dir, MANIFEST_FILE), "w") as file:
        file.write(json.dumps(entries, indent=2) + "\n")


def check_shards(sequences_dir: str, folder: str) -> None:
    """Checks the files of a folder against the manifest, where there is one.

    Args:
      sequences_dir: the directory of the sequences.
      folder: in it, such as `Split-train`.

    Raises:
      ValueError: a shard is missing, is not listed, or has other bytes than were written.
    """
    path = os.path.join(sequences_dir, MANIFEST_FILE)
    if not tf.io.gfile.exists(path):
        return
    with tf.io.gfile.GFile(path) as file:
        entries = json.loads(file.read())
    listed = {name for name in entries if name.startswith(f"{folder}/")}
    files = tf.io.gfile.glob(os.path.join(sequences_dir, folder, "*.gz"))
    found = {f"{folder}/{os.path.basename(name)}" for name in files}
    if found != listed:
        raise ValueError(
            f"{os.path.join(sequences_dir, folder)} should hold the shards that {path} lists. "
            f"Received: missing {sorted(listed - found)}, not listed {sorted(found - listed)}. "
            "Write the sequences again."
        )
    for name in sorted(listed):
        expected, checksum = entries[name]["sha256"], _sha256(os.path.join(sequences_dir, name))
        if checksum != expected:
            raise ValueError(
                f"{os.path.join(sequences_dir, name)} should have the SHA-256 {expected}, as it "
                f"was written. Received: {checksum}. Write the sequences again."
            )


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.hexdigest()
