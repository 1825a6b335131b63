"""What every stored measurement says beside its figures: where, when and how it was made."""

import json
import shlex
import statistics
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from adarec_tf.export.machine import describe_machine

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"


def provenance(command: Sequence[str], packages: Sequence[str]) -> dict[str, Any]:
    """How, when, where and with which versions a result was made."""
    return {
        "command": shlex.join(command),
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and largest of repeated measurements."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def write_result(path: Path, stored: dict[str, Any]) -> None:
    """Writes a result as indented JSON."""
    path.write_text(json.dumps(stored, indent=2) + "\n")
