"""Where Flink and Beam's job server for it come from: PyPI and Maven Central, by their own clients.

Flink is the package `apache-flink-libraries`, which has its jars and no commands. The job server is
made by Maven from Beam's runner (`pom.xml` beside this file), as not every registry has the jar
that Beam publishes. Both are kept in a folder and are not fetched again.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

FLINK_VERSION = "1.19.3"
DEFAULT_FOLDER = Path("build/flink")
# Of some 330 MB, what a cluster needs.
_JARS = re.compile(r".*/deps/lib/((?:flink-dist|log4j)-[^/]*\.jar)")
_POM = Path(__file__).with_name("pom.xml")


class Distribution(NamedTuple):
    """What was fetched.

    Attributes:
      lib: the folder of Flink's jars.
      job_server: the jar that turns Beam pipelines into jobs of Flink.
    """

    lib: Path
    job_server: Path

    @property
    def is_there(self) -> bool:
        """Whether it has been fetched."""
        return self.lib.is_dir() and self.job_server.is_file()


def distribution(folder: Path) -> Distribution:
    """What is, or will be, in a folder."""
    return Distribution(folder / f"flink-{FLINK_VERSION}", folder / "job-server.jar")


def fetch(folder: Path) -> Distribution:
    """Fetches what is not there; needs pip, Java and Maven and some 700 MB for a while.

    Raises:
      ValueError: a program is missing, or it failed; what it said is on standard error.
    """
    found = distribution(folder)
    find_program("java")  # Flink and Maven are of no use without
    if not found.job_server.is_file():
        find_program("mvn")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        if not found.lib.is_dir():
            _fetch_flink(scratch).rename(found.lib)
        if not found.job_server.is_file():
            _make_job_server(scratch).rename(found.job_server)
    return found


def find_program(name: str) -> str:
    """The path of a program.

    Raises:
      ValueError: there is none of this name.
    """
    path = shutil.which(name)
    if path is None:
        raise ValueError(
            f"`{name}` should be a program of the PATH: Flink needs it. Received: none; install it."
        )
    return path


def _fetch_flink(scratch: Path) -> Path:
    _say(f"Fetching Flink {FLINK_VERSION} (some 330 MB)")
    lib = scratch / "lib"
    lib.mkdir()
    command = ("-m", "pip", "download", "--no-deps", "--no-binary=:all:", "--dest")
    package = f"apache-flink-libraries=={FLINK_VERSION}"
    _run([sys.executable, *command, str(scratch), package])
    [archive] = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        for member in members:
            if match := _JARS.fullmatch(member.name):
                content = members.extractfile(member)
                assert content is not None  # a jar is a file
                with (lib / match[1]).open("wb") as jar:
                    shutil.copyfileobj(content, jar)
    return lib


def _make_job_server(scratch: Path) -> Path:
    _say("Making Beam's job server with Maven (some 170 MB)")
    maven = [find_program("mvn"), "--batch-mode", "--file", str(_POM)]
    _run([*maven, f"-DbuildDirectory={(scratch / 'maven').resolve()}", "package"])
    return scratch / "maven" / "flink-job-server-1.jar"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(command: Sequence[str]) -> None:
    # What Maven prints goes where errors go: the caller prints the arguments of Beam.
    if code := subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise ValueError(
            f"A download for Flink should succeed. Received: exit code {code} of "
            f"`{' '.join(command)}`; what it said is above."
        )
