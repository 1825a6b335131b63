import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
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
from tests.flink.cluster import FlinkCluster, check_port_is_free
from tests.flink.distribution import DEFAULT_FOLDER, Distribution, distribution

ROOT = Path(__file__).parents[2]
FETCHED = distribution(ROOT / DEFAULT_FOLDER)


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
    codes = {name: process.returncode for name, process in cluster.processes.items()}
    assert {*codes.values()} <= {3, -15}
    # The others may have been stopped before they said anything.
    ended = next(name for name, code in codes.items() if code == 3)
    log = (tmp_path / "run" / f"{ended}.log").read_text()
    # Flink's own classes are before those in the job server.
    assert f"-cp {fake_distribution.lib}/flink-dist-1.jar:{fake_distribution.job_server} " in log


def test_the_command_fails_with_one_line(
    fake_distribution: Distribution, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(fake_distribution.lib.parent)
    assert main(["--folder", folder, "--fetch-only"]) == 0
    assert main(["--folder", folder, "--port", "0"]) == 1
    assert capsys.readouterr().err.startswith("Error: Flink's ")


@pytest.fixture
def java(fake_distribution: Distribution) -> None:
    """A Java with which a cluster seems to run, in place of the one that ends."""
    program = fake_distribution.lib.parents[1] / "bin" / "java"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/flink/fake_java.py "$@"\n')


@pytest.fixture
def held_port() -> Iterator[int]:
    with socket.create_server(("localhost", 0)) as listener:
        yield listener.getsockname()[1]


def settings(folder: Path) -> dict[str, str]:
    lines = (folder / "flink-conf.yaml").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
@pytest.mark.usefixtures("java")
def test_every_port_listens_at_one_address_which_others_cannot_reach_by_default(
    tmp_path: Path, fake_distribution: Distribution, host: str
) -> None:
    given = {} if host == "localhost" else {"host": host}
    with FlinkCluster(fake_distribution, tmp_path / "run", **given) as cluster:
        assert cluster.address.startswith(f"{host}:")
        assert f"--flink_master={cluster.address}" in cluster.beam_arguments
    written = settings(tmp_path / "run")
    hosts = {name for name in written if name.endswith(("host", "address"))}
    assert hosts == {
        *("rest.address", "rest.bind-address", "jobmanager.rpc.address", "jobmanager.bind-host"),
        *("taskmanager.host", "taskmanager.bind-host"),
    }
    assert {written[name] for name in hosts} == {host}


def test_a_held_port_is_named_with_its_holder_before_anything_is_fetched(
    tmp_path: Path, held_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "flink"
    assert main(["--folder", str(folder), "--port", str(held_port)]) == 1
    error = capsys.readouterr().err
    assert f"listen at localhost:{held_port}. Received: Address already in use" in error
    assert f"by process {os.getpid()} (" in error
    assert error.count("\n") == 1
    assert not folder.exists()


def test_a_port_that_was_just_let_go_is_free(held_port: int) -> None:
    with socket.create_server(("localhost", 0)) as listener:
        port = listener.getsockname()[1]
        asking = socket.create_connection(("localhost", port))
        listener.accept()[0].close()  # the connection stays with the system for a minute
        asking.close()
    check_port_is_free("localhost", port)
    with pytest.raises(ValueError, match=f"localhost:{held_port}"):
        check_port_is_free("localhost", held_port)


@pytest.mark.usefixtures("java")
def test_a_folder_is_of_one_cluster_at_a_time(
    tmp_path: Path, fake_distribution: Distribution
) -> None:
    second = FlinkCluster(fake_distribution, tmp_path / "run")
    with FlinkCluster(fake_distribution, tmp_path / "run") as first:
        before = settings(tmp_path / "run")
        with pytest.raises(
            ValueError, match=rf"that of process {os.getpid()} at {first.address} runs; stop it"
        ):
            second.__enter__()
        assert settings(tmp_path / "run") == before
        assert (tmp_path / "run" / "jobmanager.log").exists()
        assert not second.processes
    with second:
        assert settings(tmp_path / "run") != before


@pytest.mark.parametrize("words", ["<html>", "[]", "{}"])
@pytest.mark.usefixtures("java")
def test_what_answers_in_place_of_flink_is_told_with_the_port(
    tmp_path: Path,
    fake_distribution: Distribution,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
) -> None:
    monkeypatch.setenv("WORDS", words)
    cluster = FlinkCluster(fake_distribution, tmp_path / "run")
    with pytest.raises(ValueError, match=f"answer at {cluster.address}. Received: no answer of F"):
        cluster.__enter__()


@pytest.mark.usefixtures("java")
def test_the_printed_arguments_can_be_pasted(
    tmp_path: Path, fake_distribution: Distribution
) -> None:
    command = [sys.executable, "-m", "tests.flink", "--port", "0"]
    command += ["--folder", str(fake_distribution.lib.parent)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    adarec = tmp_path / "bin" / "adarec"
    adarec.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    adarec.chmod(0o755)
    shown = subprocess.run(["sh", "-c", said[2]], capture_output=True, text=True, check=True)
    [run, option, arguments] = shown.stdout.splitlines()
    assert (run, option) == ("run", "--beam-args")
    address = said[0].partition(" http://")[2].split()[0]
    expected = FlinkCluster(fake_distribution, tmp_path / "run").beam_arguments
    assert shlex.split(arguments) == [
        f"--flink_master={address}" if part.startswith("--flink_master=") else part
        for part in expected
    ]


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
