"""How measurements are stored: the figures, and where, when and how they were made.

A stored result is a summary. It has no trace of epochs and no log: `docs/benchmarks.md` quotes it,
and `tests/test_docs.py` compares both.
"""

import json
import shlex
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from adarec_tf.export.machine import describe_machine

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"


Row = dict[str, str]
_LINE, _SHORT = 120, 60  # characters: of a line, and of an entry that shares one


def provenance(command: Sequence[str], packages: Sequence[str]) -> dict[str, Any]:
    """Says how, when, where and with which versions a result was made.

    Args:
      command: its words.
      packages: the distributions whose versions matter.
    """
    return {
        "command": shlex.join(command),
        "commit": current_commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def current_commit() -> str | None:
    """The commit that is checked out, `-dirty` if files differ; None outside a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or None


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and largest of repeated measurements."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def headline(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics at a cut-off of 10."""
    return {name: value for name, value in metrics.items() if "@10/" in name}


def write_result(path: Path, stored: dict[str, Any]) -> None:
    """Writes a result as JSON that reads well in a diff.

    Args:
      path: the file to write.
      stored: the result.
    """
    path.write_text(to_json(rounded(stored)) + "\n")


def rounded(value: Any) -> Any:
    """Numbers with seven significant digits; whole ones as they are."""
    if isinstance(value, float):
        return value if value.is_integer() else float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return value


def to_json(value: Any, depth: int = 0, taken: int = 0) -> str:
    """Indented JSON in which what is short shares a line.

    Args:
      value: what to write.
      depth: the spaces before its line.
      taken: the characters that stand before it on the line.
    """
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or depth + taken + len(text) < _LINE:
        return text
    if isinstance(value, dict):
        keys = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value]
        values = [*value.values()]
    else:
        keys, values = [""] * len(value), value
    parts = [
        key + to_json(part, depth + 1, len(key)) for key, part in zip(keys, values, strict=True)
    ]
    pad = " " * (depth + 1)
    lines = "\n".join(pad + line for line in _share_lines(parts, _LINE - depth - 1))
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{lines}\n{' ' * depth}{closing}"


def _share_lines(parts: list[str], width: int) -> list[str]:
    """The parts with commas, several short ones in a row on one line."""
    lines: list[str] = []
    was_short = False
    for part in [*(f"{part}," for part in parts[:-1]), parts[-1]]:
        is_short = len(part) <= _SHORT
        if is_short and was_short and len(lines[-1]) + 1 + len(part) < width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
        was_short = is_short
    return lines


def markdown(rows: Iterable[Row]) -> str:
    """A table of Markdown, a line a row; its columns are the keys of the rows."""
    rows = list(rows)
    columns = [*rows[0]]
    if any([*row] != columns for row in rows):
        raise ValueError(f"Every row should have the columns {columns}. Received: {rows}")
    lines = [columns, ["---"] * len(columns), *([*row.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
