"""The scalars of a training for TensorBoard, a point an epoch: `tensorboard --logdir <folder>`."""

import os
from collections.abc import Iterable, Mapping

import tensorflow as tf

from adarec_tf.config.extras import require_extra

# Tells the files written here from others in the same folder.
_FILE_SUFFIX = ".epochs"


class TrainingLog:
    """Writes the scalars of one training into a folder of its own.

    A training that was interrupted logs its finished epochs again, into a file that takes the place
    of the one before: a kill at any moment neither loses an epoch nor shows one twice.
    """

    def __init__(self, log_dir: str | None, finished: Iterable[Mapping[str, float]] = ()) -> None:
        """Starts the log anew.

        Args:
          log_dir: the folder, which need not exist yet; None writes nothing.
          finished: name to value, of each epoch before this one.

        Raises:
          MissingExtraError: there is a folder, and TensorBoard is not installed.
        """
        self._writer = None
        if log_dir is not None:
            require_extra("report", "tensorboard")  # newer TensorFlow comes without
            _remove_log(log_dir)
            self._writer = tf.summary.create_file_writer(log_dir, filename_suffix=_FILE_SUFFIX)
        self._num_epochs = 0
        for scalars in finished:
            self.append(scalars)

    def append(self, scalars: Mapping[str, float]) -> None:
        """Writes the scalars of the next epoch; epochs count from 1."""
        self._num_epochs += 1
        if self._writer is None:
            return
        with self._writer.as_default(step=self._num_epochs):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()


def _remove_log(log_dir: str) -> None:
    if not tf.io.gfile.isdir(log_dir):
        return
    for name in tf.io.gfile.listdir(log_dir):
        if name.endswith(_FILE_SUFFIX):
            tf.io.gfile.remove(os.path.join(log_dir, name))
