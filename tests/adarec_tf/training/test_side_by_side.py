"""Tasks in several processes."""

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adarec_tf.training.side_by_side import side_by_side

sys.path.append(str(Path(__file__).parent))  # which other processes have as well
import side_by_side_tasks as tasks

pytestmark = pytest.mark.slow  # each starts processes

ROOT = Path(__file__).parents[3]
TASKS = [(number, number * number) for number in range(5)]


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_every_task_is_done_once_and_the_first_of_each_few_here(num_processes: int) -> None:
    with side_by_side(tasks.where, TASKS, num_processes) as run:
        done = [run(*task) for task in TASKS]
    assert [(number, square) for number, square, _ in done] == TASKS
    here = [number for number, _, process in done if process == os.getpid()]
    assert here == [number for number, _ in TASKS if number % num_processes == 0]


def test_what_fails_elsewhere_fails_where_it_is_asked_for_and_the_others_go_on() -> None:
    with side_by_side(tasks.fail_on_one, TASKS, 2) as run:
        assert run(*TASKS[0]) == 0
        with pytest.raises(ValueError, match="one of 1"):
            run(*TASKS[1])
        assert [run(*task) for task in TASKS[2:]] == [4, 9, 16]


def test_where_a_process_ends_its_tasks_are_done_here(caplog: pytest.LogCaptureFixture) -> None:
    train = functools.partial(tasks.end_elsewhere, os.getpid())
    with side_by_side(train, TASKS, 2) as run:
        assert [run(*task) for task in TASKS] == [0, 1, 4, 9, 16]
    assert "it goes on here" in caplog.text


def test_no_process_outlives_the_context(tmp_path: Path) -> None:
    train = functools.partial(tasks.wait_elsewhere, os.getpid(), str(tmp_path))
    earlier = set(multiprocessing.active_children())

    def interrupt() -> None:
        with side_by_side(train, [(0,), (1,)], 2) as run:
            run(0)
            _wait_for_file(tmp_path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    for process in set(multiprocessing.active_children()) - earlier:
        process.join()
    [name] = os.listdir(tmp_path)
    assert not Path("/proc", name).exists()


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, tasks.__file__, str(tmp_path)]
    parent = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    _wait_for_file(tmp_path)
    [child] = os.listdir(tmp_path)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while Path("/proc", child).exists() and _state(child) != "Z":
        time.sleep(0.05)


def _state(process: str) -> str:
    """`Z` for one that has ended, and that nobody has asked for."""
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def _wait_for_file(folder: Path) -> None:
    while not os.listdir(folder):
        time.sleep(0.05)
