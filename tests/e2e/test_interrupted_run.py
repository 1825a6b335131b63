"""A run that is killed or stopped continues, and ends as if it never had been."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import (
    Run,
    adarec,
    run_python,
    smoke_arguments,
    stage_outcomes,
    start_adarec,
    trained_epochs,
    wait_for_epoch,
)

pytestmark = pytest.mark.e2e


SAVE = ("adarec_tf.training.checkpoint", "EpochCheckpoint.save")
# The function whose return is the last that happens, and which return it is.
KILLS = (
    ("components.sequence_preprocessor", "write_manifest", 1),
    (*SAVE, 1),  # of the teacher's first epoch
    (*SAVE, 2),  # of the teacher's second epoch, and of the search's first
    (*SAVE, 2),  # of the search's second epoch, and of the student's first
    ("components.ranking_evaluator", "write_blessing", 1),
    ("components.version_pusher", "publish", 1),
)


def test_a_run_killed_in_every_stage_ends_as_one_that_was_not(
    smoke_run: Run, raw_log: Path, tmp_path: Path
) -> None:
    assert smoke_run.done.returncode == 0, smoke_run.done.stderr
    workdir = tmp_path / "killed"
    arguments = smoke_arguments(raw_log, workdir)
    for module, function, number in KILLS:
        killed = run_python(
            *("-m", "tests.e2e.killed_run", module, function, str(number), *arguments),
            cwd=tmp_path,
        )
        assert killed.returncode == -signal.SIGKILL, (module, killed.stdout, killed.stderr)
    last = adarec(*arguments, cwd=tmp_path)
    assert last.returncode == 0, last.stderr
    stages = stage_outcomes(last.stdout)
    for name in ("Push the student", "Write the report"):
        assert stages.pop(name) == "done"
    assert set(stages.values()) == {"cached"}
    # Every epoch was trained once.
    epochs = [epoch for run in trained_epochs(workdir) for epoch in run]
    assert len(epochs) == len(set(epochs))
    assert {(stage, 2) for stage in ("teacher", "search", "distillation")} <= set(epochs)
    result, expected = (
        json.loads((folder / "result.json").read_text()) for folder in (workdir, smoke_run.workdir)
    )
    for name in ("genotype", "protocol", "removed", "blessed", "pushed_version"):
        assert result[name] == expected[name], name
    for model, row in expected["models"].items():
        found = result["models"][model]
        assert set(found) == set(row)
        for key in set(row) - {"latency_p50_ms", "latency_p99_ms"}:
            # A graph's names count the models that its process built.
            share = 0.01 if key == "bundle_bytes" else 1e-5
            assert found[key] == (row[key] and pytest.approx(row[key], rel=share)), (model, key)
    serving = workdir / "serving" / "student"
    assert [path.name for path in serving.iterdir() if path.name.isdecimal()] == ["1"]


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
