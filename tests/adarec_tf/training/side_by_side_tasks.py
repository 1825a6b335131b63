"""Tasks that other processes find; as a script, one of them in a process beside it.

python side_by_side_tasks.py FOLDER
"""

import functools
import os
import sys
import time
from pathlib import Path


def where(number: int, square: int) -> tuple[int, int, int]:
    return number, square, os.getpid()


def fail_on_one(number: int, square: int) -> int:
    if number == 1:
        raise ValueError(f"one of {square}")
    return square


def end_elsewhere(parent: int, number: int, square: int) -> int:
    if os.getpid() != parent:
        os._exit(3)
    return square


def wait_elsewhere(parent: int, folder: str, number: int) -> None:
    if os.getpid() != parent:
        Path(folder, str(os.getpid())).touch()
        time.sleep(600)


# What trials of six candidates, and of pairs of five of them, give, by epochs; one fails.
FIGURES = {3: [0.2, 0.1, 0.5, 0.4, 0.3, 0.0], 10: [0.0, 0.0, 0.5, 0.6, *[0.0] * 12]}


def made_up_trial(candidate: int, epochs: int) -> float:
    if (candidate, epochs) == (1, 3):
        raise ValueError("made up")
    return FIGURES[epochs][candidate]


def slow_trial(candidate: int, epochs: int) -> float:
    time.sleep(0.3)
    return FIGURES[epochs][candidate]


if __name__ == "__main__":
    from adarec_tf.training.side_by_side import side_by_side

    wait = functools.partial(wait_elsewhere, os.getpid(), sys.argv[1])
    with side_by_side(wait, [(0,), (1,)], 2) as run:
        run(1)
