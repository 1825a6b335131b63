"""Runs a scene with several seeds, and stores what each run came to.

    python tests/benchmarks/repeat_scene.py --name beauty --seeds 2 3 4 -- --scene beauty

adds what `adarec run --scene beauty --seed 2`, and so on, came to, a few lines each, to
`tests/benchmarks/results/repeats_<name>.json`.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from run_scene import run_scene
from run_tables import NDCG
from stored_results import RESULTS, write_result


def line_of(run: dict[str, Any]) -> dict[str, Any]:
    """What a run came to, of all that `run_scene` stores."""
    models = run["result"]["models"]
    return {
        "command": run["command"],
        "commit": run["commit"],
        "minutes": round(run["wall_s"] / 60, 1),
        "blessed": run["result"]["blessed"],
        NDCG: {name: models[name][NDCG] for name in models},
        "bundle_bytes": models["student"]["bundle_bytes"],
        "latency_p50_ms": {name: models[name]["latency_p50_ms"] for name in ("teacher", "student")},
    }


def main() -> None:
    """Runs, and stores after each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("options", nargs="*", help="of adarec run, after --")
    given = parser.parse_args()
    path = RESULTS / f"repeats_{given.name}.json"
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            options = [*given.options, "--seed", str(seed)]
            run = run_scene(given.data, options, Path(folder) / "run")
        stored = json.loads(path.read_text()) if path.exists() else {"repeats": []}
        shared = {name: run[name] for name in ("date", "machine", "versions")}
        command = shlex.join(["python", "tests/benchmarks/repeat_scene.py", "--name", given.name])
        repeats = [*stored["repeats"], line_of(run)]
        write_result(path, {"command": command, **shared, "repeats": repeats})
        print(json.dumps(line_of(run)), flush=True)


if __name__ == "__main__":
    main()
