"""What a run does around its stages; the stages themselves run in `tests/e2e`."""

import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adarec_tf.config.pipeline import PipelineConfig
from pipeline import local_runner
from pipeline.run import RunFailedError, RunInterruptedError, run_pipeline
from pipeline.screen import STAGE_STARTED
from pipeline.workdir import Workdir

CONFIG = PipelineConfig(scene="smoke")


def replace_stages(monkeypatch: pytest.MonkeyPatch, run: Callable[[Workdir], Any]) -> None:
    def run_stages(config: Any, data_path: Any, folder: Workdir, *others: Any) -> Any:
        return run(folder)

    monkeypatch.setattr(local_runner, "run_stages", run_stages)


def log_of(workdir: Path) -> str:
    [log] = (workdir / "logs").iterdir()
    return log.read_text()


def test_a_run_leaves_its_config_and_says_where_everything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_stages(monkeypatch, lambda folder: {"scene": "smoke"})
    finished = run_pipeline(CONFIG, None, tmp_path)
    assert finished.result == {"scene": "smoke"}
    assert finished.result_path == tmp_path / "result.json"
    assert finished.log_path.exists()
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["config"]["scene"] == "smoke"
    assert written["data_path"] is None  # generated


def test_a_failure_names_the_stage_the_cause_and_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Workdir) -> None:
        logging.getLogger("absl").warning(STAGE_STARTED, "InteractionsGen")
        raise ValueError("log.csv, line 3 should have 3 fields. Received: 2.")

    replace_stages(monkeypatch, fail)
    with pytest.raises(RunFailedError) as failure:
        run_pipeline(CONFIG, None, tmp_path)
    [log] = (tmp_path / "logs").iterdir()
    assert str(failure.value) == (
        "'Read the interactions' failed: log.csv, line 3 should have 3 fields. Received: 2. "
        f"Log: {log}"
    )
    assert "Read the interactions" in capfd.readouterr().out
    assert "Traceback" in log_of(tmp_path)  # for whoever needs more than the sentence


@pytest.mark.parametrize("setting", ["cost_table", "genotype"])
def test_a_missing_file_is_known_before_anything_runs(setting: str, tmp_path: Path) -> None:
    config = CONFIG.override([f"search.{setting}=gone.json"])
    with pytest.raises(ValueError, match=rf"`search.{setting}` should be .*file.* gone.json"):
        run_pipeline(config, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_missing_titles_are_known_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"titles of items should be a file. Received: .*gone.csv"):
        run_pipeline(CONFIG, None, tmp_path / "run", item_titles=f"{tmp_path}/gone.csv")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["cost_table", "genotype"])
def test_a_broken_file_is_known_before_anything_runs(setting: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    config = CONFIG.override([f"search.{setting}={tmp_path}/broken.json"])
    with pytest.raises(RunFailedError, match=r" should be (a JSON file|what `adarec profile`)"):
        run_pipeline(config, None, tmp_path / "run")
    assert not (tmp_path / "run" / "metadata.sqlite").exists()


def test_a_wrong_beam_argument_is_known_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(
        RunFailedError, match=r"Received: --runner=Flnk; Unexpected pipeline runner"
    ):
        run_pipeline(CONFIG, None, tmp_path, ["--runner=Flnk"])
    assert not (tmp_path / "metadata.sqlite").exists()


def test_a_cluster_that_is_not_there_is_known_before_anything_runs(tmp_path: Path) -> None:
    arguments = ["--runner=FlinkRunner", "--flink_master=localhost:1"]
    with pytest.raises(RunFailedError, match=r"--flink_master should .* Received: localhost:1 "):
        run_pipeline(CONFIG, None, tmp_path, arguments)
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "metadata.sqlite").exists()


def test_a_missing_earlier_run_is_known_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"--warm-start last should find .* Received: no run"):
        run_pipeline(CONFIG, None, tmp_path, warm_start="last")
    assert not (tmp_path / "metadata.sqlite").exists()
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["warm_start"], written["search_again"]) == ("last", False)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_that_it_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_number: signal.Signals
) -> None:
    replace_stages(monkeypatch, lambda folder: os.kill(os.getpid(), signal_number))
    # A shell that starts the tests in the background has them ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunInterruptedError, match="The same command continues where it was"):
        run_pipeline(CONFIG, None, tmp_path)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_nothing_is_made_for_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="should be a file or a folder"):
        run_pipeline(CONFIG, tmp_path / "gone.csv", tmp_path / "run")
    assert not (tmp_path / "run").exists()
