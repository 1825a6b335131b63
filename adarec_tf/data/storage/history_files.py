"""Writing split histories: one shard of each split, a part of the users after the other."""

import os
from collections.abc import Iterable
from contextlib import ExitStack

from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.storage.atomic_file import written_whole
from adarec_tf.data.storage.example_encoder import serialize_histories
from adarec_tf.data.storage.manifest import Shard, describe_shard
from adarec_tf.data.storage.tfrecord_writer import RecordWriter


def write_shard(
    sequences_dir: str, number: int, num_shards: int, parts: Iterable[Splits], scratch: str
) -> list[Shard]:
    """Writes a shard of each split, also where it has no histories.

    Args:
      sequences_dir: has the folders `Split-{train,valid,test}`.
      number: of the shard, from 0.
      num_shards: how many there are.
      parts: the histories, in order; one part at a time is in memory.
      scratch: a folder for what is not complete.

    Returns:
      What was written.
    """
    file = f"part-{number:05d}-of-{num_shards:05d}.gz"
    names = [f"Split-{split}/{file}" for split in Splits._fields]
    counts = [0] * len(names)
    with ExitStack() as stack:
        paths = [
            stack.enter_context(written_whole(os.path.join(sequences_dir, name), scratch))
            for name in names
        ]
        writers = [stack.enter_context(RecordWriter(path)) for path in paths]
        for splits in parts:
            for place, histories in enumerate(splits):
                counts[place] += histories.num_users
                writers[place].write(serialize_histories(histories))
    return [
        describe_shard(sequences_dir, name, count)
        for name, count in zip(names, counts, strict=True)
    ]
