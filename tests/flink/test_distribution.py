import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.flink import distribution as flink
from tests.flink.distribution import FLINK_VERSION, fetch, find_program

POM = Path(flink.__file__).with_name("pom.xml")
ARCHIVE = f"apache-flink-libraries-{FLINK_VERSION}"


def write_archive(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name in ("lib/flink-dist-1.jar", "lib/log4j-api-2.jar", "lib/flink-cep-1.jar", "a.py"):
            member = tarfile.TarInfo(f"{ARCHIVE}/deps/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))


class Programs:
    """What pip and Maven would do, without a download."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.commands: list[Sequence[str]] = []

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        self.commands.append(command)
        name = "pip" if command[0] == sys.executable else "mvn"
        if name == "pip":
            folder = Path(command[command.index("--dest") + 1])
            write_archive(folder / f"{ARCHIVE}.tar.gz")
        else:
            [folder] = [part.partition("=")[2] for part in command if "buildDirectory" in part]
            Path(folder).mkdir()
            Path(folder, "flink-job-server-1.jar").write_text("job server")
        return subprocess.CompletedProcess(command, 1 if name == self.failing else 0)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs()
    monkeypatch.setattr(subprocess, "run", found.run)
    monkeypatch.setattr(flink, "find_program", lambda name: name)
    return found


def test_what_a_cluster_needs_is_fetched_once(tmp_path: Path, programs: Programs) -> None:
    assert not flink.distribution(tmp_path / "flink").is_there
    found = fetch(tmp_path / "flink")
    assert found == flink.distribution(tmp_path / "flink")
    assert found.is_there
    assert {jar.name for jar in found.lib.iterdir()} == {"flink-dist-1.jar", "log4j-api-2.jar"}
    assert (found.lib / "flink-dist-1.jar").read_text() == "lib/flink-dist-1.jar"
    assert found.job_server.read_text() == "job server"
    assert {path.name for path in (tmp_path / "flink").iterdir()} == {
        found.lib.name,
        found.job_server.name,
    }
    assert len(programs.commands) == 2
    fetch(tmp_path / "flink")
    assert len(programs.commands) == 2


@pytest.mark.parametrize("program", ["pip", "mvn"])
def test_a_failed_download_is_one_plain_error_and_leaves_nothing_of_it(
    tmp_path: Path, programs: Programs, program: str
) -> None:
    programs.failing = program
    with pytest.raises(ValueError, match=rf"should succeed. Received: exit code 1 of `.*{program}"):
        fetch(tmp_path)
    assert not flink.distribution(tmp_path).is_there
    programs.failing = ""
    assert fetch(tmp_path).is_there


@pytest.mark.parametrize("missing", ["java", "mvn"])
def test_a_missing_program_is_known_before_the_download(
    tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(flink, "find_program", lambda name: find_program(name + "-gone"))
    monkeypatch.setattr(shutil, "which", lambda name: None if name == f"{missing}-gone" else name)
    with pytest.raises(ValueError, match=f"`{missing}-gone` should be a program of the PATH"):
        fetch(tmp_path / "flink")
    assert not programs.commands
    assert not (tmp_path / "flink").exists()


def test_what_takes_long_is_told_and_not_kept_quiet(
    tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(tmp_path)
    told = capsys.readouterr()
    assert told.out == ""
    [fetching, making] = told.err.splitlines()
    assert FLINK_VERSION in fetching
    assert "Maven" in making
    assert all("--quiet" not in command for command in programs.commands)
    fetch(tmp_path)
    assert capsys.readouterr().err == ""


def test_a_missing_program_is_named() -> None:
    with pytest.raises(ValueError, match="`no-such-program` should be a program of the PATH"):
        find_program("no-such-program")


def test_the_job_server_is_of_the_cluster_s_line_of_flink() -> None:
    [line] = ElementTree.parse(POM).findall(".//{*}flinkLine")
    assert FLINK_VERSION.startswith(f"{line.text}.")
