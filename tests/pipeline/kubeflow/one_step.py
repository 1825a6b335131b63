"""What `python -m MODULE ARGUMENTS` does, in a process that is only for it."""

import os
import runpy
import sys
from pathlib import Path


def run_module(
    module: str, arguments: list[str], folder: Path, added: dict[str, str], log: Path
) -> None:
    """Runs a module as a program of its own, whose output goes to a file.

    Args:
      module: its name.
      arguments: of the program.
      folder: where it runs.
      added: environment variables.
      log: the file.
    """
    os.chdir(folder)
    os.environ.update(added)
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
