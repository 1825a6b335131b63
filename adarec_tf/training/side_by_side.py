"""Trainings in processes of their own, while this one does others.

A second thread does little for a training; a second training on another core does not slow it down.
"""

import concurrent.futures
import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from adarec_tf.training.devices import set_threads

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_train: Callable[..., Any]


@contextlib.contextmanager
def side_by_side(
    train: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], num_processes: int
) -> Iterator[Callable[..., Any]]:
    """Gives away a part of a sequence of trainings.

    Of as many tasks in a row as there are processes the first stays here. The processes end with
    the context, also in the middle of a training, and if this process is killed.

    Args:
      train: can be pickled, and has no effect but on files and by what it returns.
      tasks: its arguments, each once.
      num_processes: this one included.

    Yields:
      What to call in place of `train`, in the order of the tasks: it trains here, or waits for what
      a process returned or raised.
    """
    given_away = [task for place, task in enumerate(tasks) if place % num_processes]
    if not given_away:
        yield train
        return
    earlier = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(
        min(num_processes - 1, len(given_away)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(train, os.getpid()),
    )
    try:
        futures = {task: pool.submit(_run, task) for task in given_away}

        def run(*task: Any) -> Any:
            if task not in futures:
                return train(*task)
            try:
                return futures[task].result()
            except BrokenProcessPool:
                logger.warning("A process that trained beside this one ended; it goes on here.")
                return train(*task)

        yield run
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - earlier:
            process.kill()


def _begin(train: Callable[..., Any], parent: int) -> None:
    """Sets up a process."""
    global _train
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before that
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the process that started it
    set_threads()
    _train = train


def _run(task: tuple[Any, ...]) -> Any:
    return _train(*task)
