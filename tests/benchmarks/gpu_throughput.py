"""How fast every stage trains on a GPU, beside one thread of the CPU of the same machine.

    pip install "tensorflow[and-cuda]==2.16.2"
    python tests/benchmarks/gpu_throughput.py

trains a teacher, searches, and distills a student of 30,000 items, each in a process of its own: on
the CPU and on the GPU, with small and large batches, with logits in float32 and in bfloat16.
Histories and sizes are those of `large_catalog.py`. The epoch that traces the step is not timed.
Where TensorFlow sees no GPU the script ends with an error; `--devices cpu` measures the CPU alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from large_catalog import CATALOGS, STAGES, train_stage
from stored_results import RESULTS, ROOT, provenance, write_result

BATCHES, DTYPES = (1024, 16384), ("float32", "bfloat16")
_VISIBLE = {"cpu": {"CUDA_VISIBLE_DEVICES": "-1"}, "gpu": {}}


def run_python(device: str, *arguments: str) -> Any:
    """What a process that sees one kind of device printed last.

    Args:
      device: `cpu` or `gpu`.
      arguments: of the interpreter.
    """
    environment = {**os.environ, **_VISIBLE[device], "PYTHONPATH": str(ROOT)}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout.splitlines()[-1])


def gpu_names() -> list[str]:
    """The GPUs that TensorFlow sees."""
    program = (
        "import json, tensorflow as tf; config = tf.config; print(json.dumps([config.experimental"
        ".get_device_details(gpu)['device_name'] for gpu in config.list_physical_devices('GPU')]))"
    )
    return run_python("gpu", "-c", program)


def main() -> None:
    """Trains in turns and stores the summary."""
    if sys.argv[1:2] == ["--child"]:
        stage, batch, dtype = sys.argv[2:]
        return print(json.dumps(train_stage(stage, CATALOGS[0], int(batch), dtype)))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", nargs="+", choices=_VISIBLE, default=[*_VISIBLE])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=[*STAGES])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu_throughput.json")
    options = parser.parse_args()
    gpus = gpu_names() if "gpu" in options.devices else []
    if "gpu" in options.devices and not gpus:
        parser.error(
            "TensorFlow should see a GPU. Received: none; install `tensorflow[and-cuda]`, or "
            "measure the CPU alone with `--devices cpu`."
        )
    rows = []
    for stage in options.stages:
        for batch in BATCHES:
            for dtype in DTYPES:
                row: dict[str, Any] = {"stage": stage, "batch": batch, "compute_dtype": dtype}
                for device in options.devices:
                    rates = [
                        run_python(device, __file__, "--child", stage, str(batch), dtype)[
                            "positions_per_s"
                        ]
                        for _ in range(options.rounds)
                    ]
                    row[device] = {"positions_per_s": round(statistics.median(rates))}
                rows.append(row)
                print(json.dumps(row), flush=True)
    command = [
        *("python", "tests/benchmarks/gpu_throughput.py", "--rounds", str(options.rounds)),
        *("--devices", *options.devices, "--stages", *options.stages),
    ]
    made = provenance(command, ["tensorflow", "keras", "numpy"])
    write_result(options.output, {**made, "seed": 0, "gpus": gpus, "rows": rows})


if __name__ == "__main__":
    main()
