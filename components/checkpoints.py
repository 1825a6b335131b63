"""Where a component keeps the checkpoints of a long loop, and when it may resume from them.

Checkpoints live outside the output artifacts, which TFX deletes when a stage fails. The folder's
name is a hash of all that the result depends on, so that a loop never resumes from another's state.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator

from tfx.dsl.io import fileio


@contextlib.contextmanager
def resumable(
    checkpoint_dir: str, stage: str, *identity: str | int, is_owner: bool = True
) -> Iterator[str]:
    """A checkpoint folder for a block; deleted when the block succeeds, kept when it does not.

    Args:
      checkpoint_dir: where the folders of all stages are.
      stage: readable first part of the folder's name.
      *identity: everything the result depends on: configs, seed, code, content of the inputs.
      is_owner: whether this process may delete the folder; of several workers, one does.

    Yields:
      The path of the folder.
    """
    digest = hashlib.sha256("\0".join(map(str, identity)).encode()).hexdigest()
    path = os.path.join(checkpoint_dir, f"{stage}-{digest[:16]}")
    fileio.makedirs(path)
    yield path
    if is_owner:
        fileio.rmtree(path)


def file_fingerprint(path: str) -> str:
    """SHA-256 of a file's bytes, for inputs that have no fingerprint of their own."""
    with fileio.open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
