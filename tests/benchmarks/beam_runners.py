"""A scene preprocessed by several runners of Beam: do they write the same bytes?

    python tests/benchmarks/beam_runners.py --scene beauty --data beauty/interactions.csv.gz

runs InteractionsGen and SequencePreprocessor by the embedded runner with one worker and with three,
and by a Flink cluster of a JobManager and two TaskManagers that it starts, and compares the SHA-256
of every file that they leave. A scene has its row in `tests/benchmarks/results/beam_runners.json`.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
# Before Beam, whose imports put another package `tests` on the path.
from tests.flink.cluster import FlinkCluster
from tests.flink.distribution import DEFAULT_FOLDER, FLINK_VERSION, fetch

sys.path.insert(0, str(Path(__file__).parent))

from preprocessed_files import preprocess_scene
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.data import DataConfig
from pipeline.configs import scene_config
from pipeline.scene_data import locate_data

PATH = RESULTS / "beam_runners.json"
PACKAGES = ("apache-beam", "tfx", "pyarrow", "numpy", "tensorflow")
_EMBEDDED = ("--runner=FnApiRunner", "--direct_running_mode=")
EMBEDDED_RUNNERS = {
    "FnApiRunner, 1 worker": (f"{_EMBEDDED[1]}in_memory", "--direct_num_workers=1"),
    "FnApiRunner, 3 threads": (f"{_EMBEDDED[1]}multi_threading", "--direct_num_workers=3"),
}
REFERENCE = "FnApiRunner, 1 worker"
FLINK = "FlinkRunner, 2 TaskManagers"


def summary(files: Mapping[str, str]) -> dict[str, Any]:
    """The number of files and one checksum of all names and bytes."""
    listing = "".join(f"{checksum}  {name}\n" for name, checksum in sorted(files.items()))
    return {"num_files": len(files), "sha256": hashlib.sha256(listing.encode()).hexdigest()}


def store(path: Path, row: str, values: dict[str, Any]) -> None:
    """Adds or replaces a row of a file of results."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    write_result(path, {**stored, row: values})


def measure(log: Path, config: DataConfig, folder: Path, flink: FlinkCluster) -> dict[str, Any]:
    """Runs each runner, and compares what they wrote."""
    runners = {name: (_EMBEDDED[0], *rest) for name, rest in EMBEDDED_RUNNERS.items()}
    found = {}
    for name, arguments in {**runners, FLINK: flink.beam_arguments}.items():
        found[name] = preprocess_scene(log, folder / "output", config, arguments)
        print(name, found[name]["wall_s"], summary(found[name]["files"]), flush=True)
    expected = found[REFERENCE]["files"]
    [job] = [*flink.jobs()][-1:]
    tasks = {place: len(names) for place, names in flink.tasks(job, "FINISHED").items()}
    counts = ("num_users", "num_items", "num_interactions")
    return {
        **{name: found[REFERENCE][name] for name in counts},
        "runners": {
            name: {
                "wall_s": values["wall_s"],
                **summary(values["files"]),
                "same_bytes": values["files"] == expected,
            }
            for name, values in found.items()
        },
        "tasks_by_task_manager": tasks,
    }


def main() -> None:
    """Measures and stores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scene", nargs="+", required=True, help="one or more of pipeline/configs")
    parser.add_argument("--data", nargs="*", type=Path, default=[], help="a log for each, in order")
    parser.add_argument("--folder", type=Path, default=Path("build/beam_runners"))
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args()
    logs = [*options.data, *[None] * (len(options.scene) - len(options.data))]
    with FlinkCluster(fetch(DEFAULT_FOLDER), options.folder / "flink") as flink:
        for scene, data in zip(options.scene, logs, strict=True):
            log = Path(locate_data(scene, data, options.folder)).resolve()
            row = measure(log, scene_config(scene).data, options.folder.resolve(), flink)
            command = ["python", "tests/benchmarks/beam_runners.py", "--scene", scene]
            command += ["--data", f"<data>/{data.parent.name}/{data.name}"] if data else []
            made = provenance(command, PACKAGES)
            made["versions"]["flink"] = FLINK_VERSION
            store(options.output, scene, {**made, **row})


if __name__ == "__main__":
    main()
