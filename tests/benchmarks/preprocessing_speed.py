"""How long a log takes to become split histories, and how much memory, beside polars by hand.

    python tests/benchmarks/preprocessing_speed.py --rows 2e7 --polars-python venv/bin/python

makes a log of so many interactions (500,000 users, 100,000 items, Zipf; kept under `--folder` for
another time), then runs `preprocess_log.py` and `polars_preprocessing.py` on it in turn, each in a
process of its own: wall time from start to exit, imports in it, and the largest memory of all its
processes together. What both found is compared, history by history. Each size and format has its
row in `tests/benchmarks/results/preprocessing_speed.json`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from stored_results import RESULTS, ROOT, provenance, write_result

from adarec_tf.data.storage.history_files import read_histories

PATH = RESULTS / "preprocessing_speed.json"
NUM_USERS, NUM_ITEMS = 500_000, 100_000
# An interaction a second, about; the log is in the order of time, as logs are.
SECONDS_PER_ROW = 1.0
BATCH_ROWS = 1 << 20
POLL_S = 0.05


def generate(path: Path, num_rows: int, seed: int) -> None:
    """Writes a log; users are drawn by the square root of a Zipf law, items by one."""
    rng = np.random.default_rng(seed)
    users = _shares(NUM_USERS, 0.5), _keys("u", NUM_USERS, rng)
    items = _shares(NUM_ITEMS, 1.0), _keys("i", NUM_ITEMS, rng)
    schema = pa.schema(
        [("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64())]
    )
    is_parquet = path.suffix == ".parquet"
    kind = pyarrow.parquet.ParquetWriter if is_parquet else pyarrow.csv.CSVWriter
    part, start = path.with_name(f"part-of-{path.name}"), 1_600_000_000
    with kind(str(part), schema) as writer:
        for done in range(0, num_rows, BATCH_ROWS):
            rows = min(BATCH_ROWS, num_rows - done)
            times = start + np.sort(rng.integers(0, int(rows * SECONDS_PER_ROW), rows))
            columns = [
                keys.take(pa.array(np.searchsorted(shares, rng.random(rows))))
                for shares, keys in (users, items)
            ]
            writer.write_table(pa.table([*columns, times], schema=schema))
            start = int(times[-1])
    part.rename(path)


def draw_keys(
    prefix: str, count: int, exponent: float, num: int, rng: np.random.Generator
) -> pa.Array:
    """Draws keys by a bounded Zipf law.

    Args:
      prefix: of each key.
      count: how many different ones there are.
      exponent: of the law.
      num: how many to draw.
      rng: draws.

    Returns:
      string [num].
    """
    keys = _keys(prefix, count, rng)
    return keys.take(pa.array(np.searchsorted(_shares(count, exponent), rng.random(num))))


def _shares(count: int, exponent: float) -> np.ndarray:
    """Cumulative shares of a bounded Zipf law, float64 [count]."""
    weights = np.cumsum(np.arange(1, count + 1, dtype=np.float64) ** -exponent)
    return weights / weights[-1]


def _keys(prefix: str, count: int, rng: np.random.Generator) -> pa.Array:
    return pa.array([f"{prefix}{number:06d}" for number in rng.permutation(count)])


def run(command: list[str]) -> dict[str, Any]:
    """Runs a script that prints JSON last; adds its wall and processor time and its memory."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    start, peak, cpu = time.perf_counter(), 0, 0.0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            processes = [tree, *tree.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in processes))
            cpu = sum(sum(member.cpu_times()[:2]) for member in processes)
        except psutil.NoSuchProcess:
            pass  # one of them has just ended
        time.sleep(POLL_S)
    wall_s = time.perf_counter() - start
    assert process.stdout is not None
    output = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu, 2),
        "peak_rss_gb": round(peak / 1e9, 2),
        **json.loads(output.splitlines()[-1]),
    }


def is_same(ours: Path, theirs: Path) -> bool:
    """Whether both have the same vocabulary, and the same users, items, targets by split."""
    names = [ours / "vocabulary" / "vocabulary.txt", theirs / "vocabulary.txt"]
    if names[0].read_bytes() != names[1].read_bytes():
        return False
    for split in ("train", "valid", "test"):
        histories = read_histories(str(ours / "sequences"), split)
        table = pyarrow.parquet.read_table(theirs / f"{split}.parquet").combine_chunks()
        # Shards are of users by hash, theirs are all in order.
        order = np.argsort(histories.user_keys)
        ordered = histories.take(order)
        keys = table["user_id"].cast(pa.binary()).to_pylist()
        lists = table["history"].combine_chunks()
        same = [
            np.array_equal(ordered.user_keys, np.array(keys, object)),
            np.array_equal(ordered.item_ids, np.asarray(lists.flatten())),
            np.array_equal(ordered.lengths, np.asarray(lists.value_lengths())),
            split == "train" or np.array_equal(ordered.targets, np.asarray(table["target"])),
        ]
        if not all(same):
            return False
    return True


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Runs both on the log, and removes what they wrote."""
    log = options.folder / f"log-{options.rows:.0e}-{options.seed}.{options.format}"
    if not log.exists():
        generate(log, int(options.rows), options.seed)
    scripts = Path(__file__).parent
    outputs = {name: options.folder / name for name in ("ours", "polars")}
    for output in outputs.values():
        shutil.rmtree(output, ignore_errors=True)
    commands = {
        "ours": [sys.executable, str(scripts / "preprocess_log.py")],
        "polars": [options.polars_python, str(scripts / "polars_preprocessing.py")],
    }
    found: dict[str, Any] = {"log_bytes": log.stat().st_size}
    for name, command in commands.items():
        if name == "polars" and not options.polars_python:
            continue
        found[name] = run([*command, "--log", str(log), "--output", str(outputs[name])])
    if options.polars_python:
        ours, theirs = found["ours"], found["polars"]
        found["wall_ratio"] = round(ours["wall_s"] / theirs["wall_s"], 2)
        # A run imports TensorFlow, TFX and Beam once, and most of it for what comes later.
        without_imports_s = ours["wall_s"] - ours["imports_s"]
        found["wall_ratio_without_our_imports"] = round(without_imports_s / theirs["wall_s"], 2)
        found["same_histories"] = is_same(outputs["ours"], outputs["polars"])
    for output in outputs.values():
        shutil.rmtree(output, ignore_errors=True)
    return found


def main() -> None:
    """Measures, stores and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=2e7)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--polars-python", default="", help="of an environment with polars")
    parser.add_argument("--folder", type=Path, default=Path("build/preprocessing_speed"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    load = round(os.getloadavg()[0], 2)
    row = measure(options)
    stored = json.loads(options.output.read_text()) if options.output.exists() else {}
    command = [
        *("python", "tests/benchmarks/preprocessing_speed.py"),
        *("--rows", f"{options.rows:.0e}", "--format", options.format),
        *("--seed", str(options.seed)),
        *(("--polars-python", "<python>") if options.polars_python else ()),
    ]
    packages = ("apache-beam", "tfx", "pyarrow", "numpy", "tensorflow")
    stored[f"{options.rows:.0e} {options.format}"] = {
        **provenance(command, packages),
        "load_before": load,
        **row,
    }
    write_result(options.output, stored)
    print(json.dumps(row, indent=2))
    print(options.output)


if __name__ == "__main__":
    main()
