"""The command as its user called it, so that what a run suggests can be copied and works."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_COMMAND = "adarec"


def command_name(program: str) -> str:
    """What to type in this folder to call the running program again.

    Args:
      program: `sys.argv[0]`.

    Returns:
      `adarec` where the shell finds this very program under that name; `python -m adarec_tf`, with
      the running Python, where it was called so; else the program's path, relative to the working
      directory if it is below it.
    """
    if Path(program).name == "__main__.py":
        return f"{_typed(sys.executable, Path(sys.executable).name)} -m adarec_tf"
    return _typed(program, _COMMAND)


def _typed(program: str, name: str) -> str:
    found = shutil.which(name)
    if found is not None and os.path.exists(program) and os.path.samefile(found, program):
        return name
    relative = os.path.relpath(program)
    if relative.split(os.sep)[0] == os.pardir:
        return shlex.quote(os.path.abspath(program))
    # Without a folder, a shell would look for it on its path.
    return shlex.quote(relative if os.sep in relative else os.path.join(os.curdir, relative))
