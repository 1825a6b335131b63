"""Runs `recommenders_checks.py`: tensorflow-recommenders needs a process with Keras 2."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_tensorflow_recommenders_agrees() -> None:
    checks = Path(__file__).with_name("recommenders_checks.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(checks)],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-3000:]
