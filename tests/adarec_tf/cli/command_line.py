"""The command line, called in this process and in one of its own."""

import os
import subprocess
import sys
from pathlib import Path

import click.testing

from adarec_tf import cli

ROOT = Path(__file__).parents[3]


def invoke(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(cli.main, arguments)


def run_without_tensorflow(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own, which must not import anything slow."""
    code = (
        "import sys\nfrom adarec_tf.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    assert not {'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
