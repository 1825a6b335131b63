"""How long the README's script takes, and how good its models are.

    python tests/benchmarks/quickstart.py

Runs the script in a process of its own, in an empty folder.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from run_tables import quickstart
from stored_results import RESULTS, ROOT, markdown, provenance, write_result


def readme_script() -> str:
    """The only Python of the README."""
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return code


def read_table(output: str) -> dict[str, dict[str, float]]:
    """The rows of the table that the script prints, by model and metric."""
    lines = [line.split() for line in output.splitlines()]
    [start] = [number for number, words in enumerate(lines) if "ndcg@10" in words]
    metrics, rows = lines[start], lines[start + 1 :]
    return {
        words[0]: dict(zip(metrics, map(float, words[1:]), strict=True))
        for words in rows
        if words and len(words) == len(metrics) + 1
    }


def measure() -> dict[str, Any]:
    """Runs the script; raises if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", readme_script()],
            check=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        wall_s = time.monotonic() - start
    of_run = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(wall_s, 1),
        "cpu_s": round(of_run.ru_utime + of_run.ru_stime, 1),
        "models": read_table(done.stdout),
    }


def main() -> None:
    """Measures, stores and prints."""
    command = ["python", "tests/benchmarks/quickstart.py"]
    stored = {**provenance(command, ("tensorflow", "keras")), **measure()}
    write_result(RESULTS / "quickstart.json", stored)
    print(markdown(quickstart("quickstart", stored)))


if __name__ == "__main__":
    main()
