"""Runs the whole pipeline on a scene, and stores what it found with how and where it was found.

    python tests/benchmarks/run_scene.py --scene beauty --data interactions.csv.gz

writes `tests/benchmarks/results/scene_<scene>.json` and prints the rows that stand in the docs.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from stored_results import RESULTS, ROOT, write_result
from tables import markdown, scenes

from adarec_tf.export.machine import describe_machine


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
        "command": shlex.join(["adarec", *shown]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "wall_s": round(wall_s, 1),
        "config": config,
        "result": {key: value for key, value in result.items() if key != "paths"},
    }


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
