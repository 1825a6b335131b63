"""Commands of the package `serving`, in processes of their own: components do not import it."""

import subprocess
import sys
from pathlib import Path


def run_serving(module: str, **options: str | float) -> str:
    """Runs a command of `serving`, such as `python -m serving.push_check --version=3`.

    Args:
      module: its name in the package.
      **options: of the command; those that are "" are left out.

    Returns:
      What went wrong, in one line; "" if nothing did.
    """
    given = {name.replace("_", "-"): value for name, value in options.items() if value != ""}
    arguments = [f"--{name}={value}" for name, value in given.items()]
    completed = subprocess.run(
        [sys.executable, "-m", f"serving.{module}", *arguments],
        cwd=Path(__file__).parents[1],  # where the package is found
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if completed.returncode == 0:
        return ""
    lines = completed.stderr.strip().splitlines() or [f"exit code {completed.returncode}"]
    return lines[-1].removeprefix("Error: ")
