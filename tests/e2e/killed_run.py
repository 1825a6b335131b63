"""`adarec`, which kills itself where a function returns: nothing is tidied up, nothing is said.

    python -m tests.e2e.killed_run MODULE FUNCTION NUMBER ARGUMENTS

sends SIGKILL to its own process when FUNCTION of MODULE has returned for the NUMBERth time.
"""

import functools
import importlib
import itertools
import os
import signal
import sys
from typing import Any

from adarec_tf.cli import main


def kill_after(module: str, function: str, number: int) -> None:
    """Has the process killed by the function.

    Args:
      module: where it is looked up when it is called.
      function: its name there; of a method with that of its class.
      number: which return is the last.
    """
    owner: Any = importlib.import_module(module)
    *classes, name = function.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), itertools.count(1)

    @functools.wraps(original)
    def deadly(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


if __name__ == "__main__":
    kill_after(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.exit(main(sys.argv[4:]))
