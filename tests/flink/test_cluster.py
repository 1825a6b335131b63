import json
import os
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from adarec_tf.config.data import DataConfig
from components.beam_arguments import DEFAULT_ARGUMENTS, check_beam_arguments
from components.sequence_preprocessor import preprocess
from tests.adarec_tf.data.coded_rows import as_log
from tests.components.preprocessing import LOG, contents, run, write_examples
from tests.flink.__main__ import main
from tests.flink.cluster import FlinkCluster
from tests.flink.distribution import DEFAULT_FOLDER, Distribution, distribution

FETCHED = distribution(Path(__file__).parents[2] / DEFAULT_FOLDER)


@pytest.fixture
def fake_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """A Java that says what it was given, and ends."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho $@\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{java.parent}{os.pathsep}{os.environ['PATH']}")
    found = distribution(tmp_path / "flink")
    found.lib.mkdir(parents=True)
    (found.lib / "flink-dist-1.jar").touch()
    found.job_server.touch()
    return found


def test_the_arguments_are_those_that_beam_knows(
    tmp_path: Path, fake_distribution: Distribution
) -> None:
    cluster = FlinkCluster(fake_distribution, tmp_path / "run", num_task_managers=3)
    check_beam_arguments(cluster.beam_arguments)
    options = PipelineOptions([*DEFAULT_ARGUMENTS, *cluster.beam_arguments]).get_all_options()
    assert options["runner"] == "FlinkRunner"
    assert options["flink_master"] == cluster.address
    assert options["parallelism"] == 3
    portable = PipelineOptions(list(cluster.beam_arguments)).view_as(PortableOptions)
    command = json.loads(portable.environment_config)["command"]
    assert os.access(command, os.X_OK)


def test_a_process_that_ends_at_once_is_one_plain_error(
    tmp_path: Path, fake_distribution: Distribution
) -> None:
    cluster = FlinkCluster(fake_distribution, tmp_path / "run")
    with pytest.raises(ValueError, match=r"keep running. Received: exit code 3; see .*\.log"):
        cluster.__enter__()
    assert {process.returncode for process in cluster.processes.values()} <= {3, -15}
    log = (tmp_path / "run" / "jobmanager.log").read_text()
    # Flink's own classes are before those in the job server.
    assert f"-cp {fake_distribution.lib}/flink-dist-1.jar:{fake_distribution.job_server} " in log


def test_the_command_fails_with_one_line(
    fake_distribution: Distribution, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(fake_distribution.lib.parent)
    assert main(["--folder", folder, "--fetch-only"]) == 0
    assert main(["--folder", folder, "--port", "0"]) == 1
    assert capsys.readouterr().err.startswith("Error: Flink's ")


@pytest.mark.slow
@pytest.mark.skipif(
    not FETCHED.is_there,
    reason="needs `python -m tests.flink --fetch-only`, a download of some 500 MB",
)
def test_two_task_managers_write_the_bytes_of_the_embedded_runner(tmp_path: Path) -> None:
    run(tmp_path / "embedded", LOG, 2)
    examples_dir = write_examples(tmp_path / "flink" / "examples", as_log(LOG), 2)
    with FlinkCluster(FETCHED, tmp_path / "cluster") as cluster:
        preprocess(
            beam.Pipeline(argv=list(cluster.beam_arguments)),
            examples_dir,
            str(tmp_path / "flink" / "sequences"),
            str(tmp_path / "flink" / "vocabulary"),
            DataConfig(),
        )
        [job] = cluster.jobs()
        assert cluster.jobs()[job] == "FINISHED"
        assert len(cluster.tasks(job, "FINISHED")) == 2
    assert contents(tmp_path / "flink") == contents(tmp_path / "embedded")
    assert all(process.poll() is not None for process in cluster.processes.values())
