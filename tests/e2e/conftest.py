"""One run of the smoke scene through the command line, shared by the tests that look at it."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from adarec_tf.data.log.built_in import generate_sample_scene
from pipeline.screen import STAGES

ROOT = Path(__file__).parents[2]
ADAREC = (sys.executable, "-m", "adarec_tf")
# Column names of its own, and a file without compression: as a user might bring it.
COLUMNS = ("--user-column", "viewer", "--item-column", "video", "--time-column", "watched at")


class Run(NamedTuple):
    """A finished `adarec run`."""

    workdir: Path
    done: subprocess.CompletedProcess[str]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python to its end, without a terminal."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )


def adarec(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, as a user does without a terminal."""
    return run_python(*ADAREC[1:], *arguments, cwd=cwd)


def stage_outcomes(output: str) -> dict[str, str]:
    """Stage name to its outcome, from the screen."""
    return {
        name: line.partition(name)[2].split()[0]
        for line in output.splitlines()
        for name in STAGES.values()
        if name in line
    }


def start_adarec(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Starts a command whose lines are read while it runs."""
    return subprocess.Popen(
        [*ADAREC, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background has them, and theirs, ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    """Reads lines until one holds the text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return line
    assert process.stderr is not None
    raise AssertionError(f"{text!r} was not among {lines}; errors: {process.stderr.read()}")


def trained_epochs(workdir: Path) -> list[list[tuple[str, int]]]:
    """The epochs that each run trained, as its log has them, oldest run first."""
    return [
        [(stage, int(epoch)) for stage, epoch in re.findall(r" stage=(\w+) epoch=(\d+) ", text)]
        for text in (log.read_text("utf-8") for log in sorted((workdir / "logs").glob("*.log")))
    ]


def wait_for_epoch(process: subprocess.Popen[str], workdir: Path, stage: str, epoch: int) -> None:
    """Returns when the newest run has trained an epoch of a stage."""
    while not any((stage, epoch) in found for found in trained_epochs(workdir)[-1:]):
        if process.poll() is not None:
            raise AssertionError(f"ended before epoch {epoch} of {stage}: {process.communicate()}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def raw_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "watched.csv"
    table = generate_sample_scene(num_users=200, num_items=150)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS[1::2], "remark"])
        writer.writerows(
            (*row, "a remark, quoted")
            for row in zip(*(column.to_pylist() for column in table.columns), strict=True)
        )
    return path


def smoke_arguments(raw_log: Path, workdir: Path) -> tuple[str, ...]:
    return (
        *("run", "--scene", "smoke", "--data", str(raw_log), *COLUMNS),
        *("--workdir", str(workdir)),
        *("--set", "search.front_size=3", "--set", "search.front_quantity=macs"),
    )


@pytest.fixture(scope="session")
def smoke_run(raw_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    workdir = tmp_path_factory.mktemp("smoke") / "run"
    return Run(workdir, adarec(*smoke_arguments(raw_log, workdir), cwd=workdir.parent))


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the sample scene; or the one that `.ci/run` has made already, and names."""
    if finished := os.environ.get("ADAREC_SAMPLE_RUN"):
        return Run(Path(finished), subprocess.CompletedProcess([], 0))
    workdir = tmp_path_factory.mktemp("sample") / "run"
    done = adarec("run", "--scene", "sample", "--workdir", str(workdir), cwd=workdir.parent)
    return Run(workdir, done)
