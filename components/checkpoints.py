"""Where a component keeps the checkpoints of a long loop, and when it may resume from them.

Checkpoints live outside the output artifacts, which TFX deletes when a stage fails. The folder's
name is a hash of all that the result depends on, so that a loop never resumes from another's state.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence

import tensorflow as tf
from tensorflow.python.framework import config as framework_config
from tfx.dsl.io import fileio


@contextlib.contextmanager
def resumable(
    checkpoint_dir: str,
    stage: str,
    identity: Sequence[str | int],
    files: Sequence[str] = (),
    *,
    is_owner: bool = True,
) -> Iterator[str]:
    """A checkpoint folder for a block that trains; deleted when the block succeeds.

    Equal seeds give equal results: the block has TensorFlow's deterministic kernels, and no longer,
    since they are slower or missing for operations that later stages of the same process use.

    Args:
      checkpoint_dir: where the folders of all stages are.
      stage: readable first part of the folder's name.
      identity: everything the result depends on: configs, seed, code, content of the inputs.
      files: whose content it depends on as well.
      is_owner: whether this process may delete the folder; of several workers, one does.

    Yields:
      The path of the folder.
    """
    parts = [*map(str, identity), *map(file_fingerprint, files)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    path = os.path.join(checkpoint_dir, f"{stage}-{digest[:16]}")
    fileio.makedirs(path)
    tf.config.experimental.enable_op_determinism()
    try:
        yield path
    finally:
        framework_config.disable_op_determinism()  # there is no public way
    if is_owner:
        fileio.rmtree(path)


def file_fingerprint(path: str) -> str:
    """SHA-256 of a file's bytes, for inputs that have no fingerprint of their own."""
    with fileio.open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
