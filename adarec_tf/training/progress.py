"""Progress of long loops, as attributes of ordinary log records.

A loop logs; whoever owns the screen installs a logging handler that draws records which carry a
`progress` attribute. Neither knows the other.
"""

import logging
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a loop is.

    Attributes:
      stage: what is running, in words.
      done: units finished.
      total: units in all.
    """

    stage: str
    done: int
    total: int


def log_progress(logger: logging.Logger, progress: Progress, message: str, *args: object) -> None:
    """Logs a message at INFO with `progress` attached to the record.

    Args:
      logger: of the loop.
      progress: how far it is.
      message: with `%s` for each argument.
      *args: of the message.
    """
    logger.info(message, *args, extra={"progress": progress})
