"""Runs the whole pipeline on a scene, and stores what it found with how and where it was found.

    python tests/benchmarks/run_scene.py --name beauty_standard --data interactions.csv.gz

runs `adarec run --data interactions.csv.gz` and writes what came out, the recipe included, to
`tests/benchmarks/results/scene_<name>.json`. Options after `--` are those of `adarec run`, such as
`-- --effort quick`. `--workdir` keeps the run, which then continues where it was interrupted.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from run_tables import NDCG, scenes
from stored_results import RESULTS, ROOT, markdown, provenance, write_result

_KEPT = (
    *("scene", "seed", "protocol", "genotype", "blessed", "blessing_reasons", "removed"),
    "seconds",
)


def run_scene(data: str | None, options: list[str], workdir: Path) -> dict[str, Any]:
    """Runs `adarec run`; raises if it fails.

    Args:
      data: the log; None for a scene that is generated.
      options: of `adarec run`.
      workdir: of the run.
    """
    start = time.monotonic()
    subprocess.run(
        [
            *(sys.executable, "-m", "adarec_tf", "run", *(["--data", data] if data else [])),
            *(*options, "--workdir", str(workdir)),
        ],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    wall_s = time.monotonic() - start
    of_run = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads((workdir / "result.json").read_text())
    recipe = json.loads((workdir / "recipe.json").read_text())
    recipe.pop("settings")  # what was decided, and the defaults of this commit
    recipe["decisions"] = {one["setting"]: one["value"] for one in recipe["decisions"]}
    shown = ["--data", f"<log>/{Path(data).name}"] if data else []
    return {
        **provenance(["adarec", "run", *shown, *options], ("tensorflow", "keras")),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(of_run.ru_utime + of_run.ru_stime, 1),
        "peak_gb": round(of_run.ru_maxrss / 2**20, 2),  # of the largest process
        "recipe": recipe,
        "result": summary(result),
    }


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """A run's result as it is stored: metrics at 10, six digits, no slices and no paths."""
    models = {name: at_10(values) for name, values in result["models"].items()}
    kept = {name: result[name] for name in _KEPT}
    intervals = {name: values[NDCG] for name, values in result["intervals"].items()}
    against = result["student_against_teacher"][NDCG]
    of_ndcg = {"intervals": intervals, "student_against_teacher": against}
    text = json.dumps({**kept, "models": models, NDCG: of_ndcg})
    stored: dict[str, Any] = json.loads(
        text, parse_float=lambda number: float(f"{float(number):.6g}")
    )
    return stored


def at_10(values: dict[str, Any]) -> dict[str, Any]:
    """What is no metric, and the metrics at a cut-off of 10."""
    return {name: value for name, value in values.items() if "@" not in name or "@10/" in name}


def main() -> None:
    """Runs a scene, stores and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data")
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("options", nargs="*", help="of adarec run, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workdir = given.workdir or Path(folder) / given.name
        stored = run_scene(given.data, given.options, workdir)
    path = RESULTS / f"scene_{given.name}.json"
    write_result(path, stored)
    print(f"{stored['command']}: {stored['wall_s']} s")
    print(markdown(scenes(path.stem, stored)))
    print(path)


if __name__ == "__main__":
    main()
