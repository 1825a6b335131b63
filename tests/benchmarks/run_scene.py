"""Runs the whole pipeline on a scene, and stores what it found with how and where it was found.

    python tests/benchmarks/run_scene.py --scene beauty --data interactions.csv.gz

writes `tests/benchmarks/results/scene_<scene>.json` and prints the rows that stand in the docs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from model_tables import scenes
from stored_results import RESULTS, ROOT, markdown, provenance, write_result

_KEPT = (
    *("scene", "seed", "protocol", "genotype", "blessed", "blessing_reasons", "removed"),
    "seconds",
)


def run_scene(scene: str, data: str | None, workdir: Path) -> dict[str, Any]:
    """Runs `adarec run` from nothing; raises if it fails."""
    arguments = ["run", "--scene", scene, *(["--data", data] if data else [])]
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "adarec_tf", *arguments, "--workdir", str(workdir)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    wall_s = time.monotonic() - start
    config = json.loads((workdir / "config.json").read_text())
    del config["data_path"]  # of this machine alone
    result = json.loads((workdir / "result.json").read_text())
    names = [f"<log>/{Path(data).name}"] if data else []
    shown = ["run", "--scene", scene, *(["--data", *names] if data else [])]
    return {
        **provenance(["adarec", *shown], ("tensorflow", "keras")),
        "wall_s": round(wall_s, 1),
        "config": config,
        "result": summary(result),
    }


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """A run's result as it is stored: metrics at a cut-off of 10, no slices and no paths."""
    of_models = {
        part: {name: at_10(values) for name, values in result[part].items()}
        for part in ("models", "intervals")
    }
    against = at_10(result["student_against_teacher"])
    kept = {name: result[name] for name in _KEPT}
    return {**kept, **of_models, "student_against_teacher": against}


def at_10(values: dict[str, Any]) -> dict[str, Any]:
    """What is no metric, and the metrics at a cut-off of 10."""
    return {name: value for name, value in values.items() if "@" not in name or "@10/" in name}


def main() -> None:
    """Runs a scene, stores and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stored = run_scene(options.scene, options.data, Path(folder) / options.scene)
    path = RESULTS / f"scene_{options.scene}.json"
    write_result(path, stored)
    print(f"{stored['command']}: {stored['wall_s']} s")
    print(markdown(scenes(path.stem, stored)))
    print(path)


if __name__ == "__main__":
    main()
