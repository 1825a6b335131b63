"""`adarec serve` in a process of its own, for the benchmarks of serving."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class ServerProcess(NamedTuple):
    """A server that answers.

    Attributes:
      process: its process.
      address: HOST:PORT.
      model_dir: the folder it watches.
    """

    process: subprocess.Popen[str]
    address: str
    model_dir: Path

    def memory_mib(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> int:
        """Sends SIGTERM and waits; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def publish(bundle: Path, model_dir: Path, version: int) -> None:
    """Copies a bundle into a folder and renames it to its number."""
    unfinished = shutil.copytree(bundle, model_dir / f".tmp-{version}")
    unfinished.rename(model_dir / str(version))


@contextlib.contextmanager
def running_server(
    bundle: Path, model_dir: Path, options: Sequence[str] = ()
) -> Iterator[ServerProcess]:
    """Serves a bundle as version 1 from a subprocess.

    Args:
      bundle: a SavedModel folder.
      model_dir: an empty folder for its versions.
      options: of `adarec serve`.
    """
    publish(bundle, model_dir, 1)
    command = [sys.executable, "-m", "adarec_tf", "serve", "--port", "0"]
    command += ["--model-dir", str(model_dir), "--model-name", "student", *options]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        told = re.search(r" on (\S+)\. Ctrl-C", process.stdout.readline())
        if told is None:
            raise RuntimeError("The server should tell its address. Received: another line.")
        yield ServerProcess(process, told[1], model_dir)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
