"""A run that is killed or stopped continues, and ends as if it never had been."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import (
    Run,
    adarec,
    smoke_arguments,
    start_adarec,
    trained_epochs,
    wait_for_epoch,
)

pytestmark = pytest.mark.e2e


def test_a_run_killed_in_its_search_finds_the_same_student(
    smoke_run: Run, raw_log: Path, tmp_path: Path
) -> None:
    assert smoke_run.done.returncode == 0, smoke_run.done.stderr
    workdir = tmp_path / "killed"
    arguments = smoke_arguments(raw_log, workdir)
    first = start_adarec(*arguments, cwd=tmp_path)
    wait_for_epoch(first, workdir, "search", 1)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    assert any((workdir / "checkpoints").iterdir())

    second = adarec(*arguments, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    lines = [line.strip() for line in second.stdout.splitlines()]
    searched = [epoch for stage, epoch in trained_epochs(workdir)[-1] if stage == "search"]
    assert searched == [2]  # the first was not done twice
    assert any("Train the teacher" in line and "cached" in line for line in lines)
    result = json.loads((workdir / "result.json").read_text())
    expected = json.loads((smoke_run.workdir / "result.json").read_text())
    assert result["genotype"] == expected["genotype"]
    assert result["models"]["student"]["ndcg@10/full"] == pytest.approx(
        expected["models"]["student"]["ndcg@10/full"], rel=1e-5
    )


def test_a_stopped_run_says_that_it_can_go_on(raw_log: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "stopped"
    # A training that outlasts any delay of the signal, so that it arrives within that stage.
    endless = ("--set", "training.max_epochs=10000", "--set", "training.patience=10000")
    run = start_adarec(*smoke_arguments(raw_log, workdir), *endless, cwd=tmp_path)
    wait_for_epoch(run, workdir, "teacher", 1)
    run.send_signal(signal.SIGINT)
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert any(
        "Train the teacher" in line and "interrupted" in line for line in output.splitlines()
    )
    assert errors.startswith("The run was interrupted. The same command continues where it was.")
    assert errors.count("\n") == 1
