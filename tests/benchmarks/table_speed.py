"""How long a table of a million rows takes to become split histories, by the library it is of.

    python tests/benchmarks/table_speed.py

Users and items are drawn by Zipf laws, ids are text, times are dates. Each library's table is read
several times, in turns, in one process that has imported everything; what they give is compared.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
from preprocessing_speed import draw_keys
from stored_results import RESULTS, provenance, spread, write_result

from adarec_tf.data.dataset import Dataset

NUM_USERS, NUM_ITEMS = 50_000, 20_000
START = np.datetime64("2024-01-01T00:00:00", "us")


def make_frame(num_rows: int, seed: int) -> pd.DataFrame:
    """A log as pandas has it: a row a second, in the order of time."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "visitor": draw_keys("u", NUM_USERS, 0.5, num_rows, rng).to_pandas(),
            "product": draw_keys("i", NUM_ITEMS, 1.0, num_rows, rng).to_pandas(),
            "ts": START + np.arange(num_rows) * np.timedelta64(1, "s"),
        }
    )


def measure(num_rows: int, rounds: int, seed: int) -> dict[str, Any]:
    """Seconds of clock and processor for each library's table."""
    frame = make_frame(num_rows, seed)
    table = pa.Table.from_pandas(frame)
    sources = {"pandas": frame, "polars": polars.from_arrow(table), "pyarrow": table}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    found = {}
    for _ in range(rounds):
        for name, source in sources.items():
            start = time.perf_counter(), time.process_time()
            dataset = Dataset.from_interactions(source, user="visitor", item="product", time="ts")
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
            found[name] = dataset
    first, *others = found.values()
    return {
        "rows": num_rows,
        "num_users": first.statistics.num_users,
        "num_items": first.num_items,
        "num_interactions": first.statistics.num_interactions,
        **{
            name: {
                "wall_s": {key: round(value, 2) for key, value in spread(walls).items()},
                "cpu_s": {key: round(value, 2) for key, value in spread(cpus).items()},
            }
            for name, (walls, cpus) in (
                (name, zip(*pairs, strict=True)) for name, pairs in times.items()
            )
        },
        "same_splits": all(is_same(first, other) for other in others),
    }


def is_same(one: Dataset, other: Dataset) -> bool:
    """Whether two datasets have the same items and histories."""
    return one.vocabulary == other.vocabulary and all(
        np.array_equal(ours, theirs)
        for splits in zip(one.splits, other.splits, strict=True)
        for ours, theirs in zip(*splits, strict=True)
    )


def main() -> None:
    """Measures, and stores the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS / "table_speed.json")
    options = parser.parse_args()
    result = measure(int(options.rows), options.rounds, options.seed)
    command = ["python", "tests/benchmarks/table_speed.py", "--rounds", str(options.rounds)]
    command += ["--rows", f"{options.rows:g}", "--seed", str(options.seed)]
    made = provenance(command, ["numpy", "pandas", "polars", "pyarrow"])
    write_result(options.output, {**made, **result})
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
