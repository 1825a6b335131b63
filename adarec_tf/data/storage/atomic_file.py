"""Files that are whole or not there: for workers that may be killed, or do the same work twice.

A distributed runner may take a worker for lost that is still writing, and have another do its work.
Both then write the same bytes to the same path. Each writes a file of its own, which gets its name
when it is complete, so that no reader sees a part of a file.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def written_whole(path: str, scratch: str) -> Iterator[str]:
    """Gives a path to write to; what lies there when the block ends gets the name `path`.

    Args:
      path: of the file; one that is there is replaced.
      scratch: a folder in the same file system for what is not complete, also of workers that were
        killed; the caller removes it when all is done.
    """
    part = os.path.join(scratch, f"part-{uuid.uuid4().hex}")
    yield part
    tf.io.gfile.rename(part, path, overwrite=True)
