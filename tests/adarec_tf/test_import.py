"""Importing the library changes nothing, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import os, sys, time

before, start = dict(os.environ), time.perf_counter()
import adarec_tf

assert time.perf_counter() - start < 0.3
assert dict(os.environ) == before
assert not {"tensorflow", "keras", "tf_keras", "numpy", "pyarrow"} & set(sys.modules)
"""


def test_the_import_is_quick_and_has_no_side_effect() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
