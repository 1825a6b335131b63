"""One user with ten million events: how much memory does the preprocessing take, beside many users?

    python tests/benchmarks/giant_user.py --events 1e7

makes two logs of equal length, of a giant and a thousand users with a hundred events each, and of
users as in `preprocessing_speed.py`; runs `preprocess_log.py` on each in a process of its own, with
the pipeline's own Beam arguments, and stores its wall time and the largest memory of all its
processes together in `tests/benchmarks/results/giant_user.json`. The giant's history must be whole.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from preprocessing_speed import NUM_ITEMS, generate, run
from stored_results import RESULTS, provenance, write_result

from adarec_tf.data.storage.history_files import read_histories

PATH = RESULTS / "giant_user.json"
GIANT = b"giant"
_OTHERS, _EVENTS_OF_OTHERS = 1000, 100


def generate_giant(path: Path, num_events: int, seed: int) -> None:
    """Writes the giant's log; rows are in no order, times have ties."""
    rng = np.random.default_rng(seed)
    num_others = _OTHERS * _EVENTS_OF_OTHERS
    users = np.r_[np.full(num_events, _OTHERS), np.repeat(np.arange(_OTHERS), _EVENTS_OF_OTHERS)]
    rng.shuffle(users)
    keys = pa.array([f"u{number}" for number in range(_OTHERS)] + [GIANT.decode()])
    num_rows = num_events + num_others
    items = np.minimum(rng.zipf(1.3, num_rows), NUM_ITEMS)
    log = pa.table(
        {
            "user_id": keys.take(pa.array(users)),
            "item_id": pa.array(items).cast(pa.string()),
            "timestamp": rng.integers(1_600_000_000, 1_600_000_000 + num_rows, num_rows),
        }
    )
    pyarrow.parquet.write_table(log, path)


def measure(log: Path, output: Path) -> dict[str, Any]:
    """Preprocesses a log; adds how long the longest history of the test split is."""
    script = str(Path(__file__).with_name("preprocess_log.py"))
    shutil.rmtree(output, ignore_errors=True)
    row = run([sys.executable, script, "--log", str(log), "--output", str(output)])
    histories = read_histories(str(output / "sequences"), "test")
    longest = int(np.argmax(histories.lengths))
    row["longest_history"] = int(histories.lengths[longest])
    row["is_the_giant_s"] = histories.user_keys[longest] == GIANT
    shutil.rmtree(output)
    return row


def main() -> None:
    """Measures, stores and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=float, default=1e7, help="of the giant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build/giant_user"))
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    num_rows = int(options.events) + _OTHERS * _EVENTS_OF_OTHERS
    giant, many = options.folder / "giant.parquet", options.folder / "many.parquet"
    generate_giant(giant, int(options.events), options.seed)
    generate(many, num_rows, options.seed)
    rows = {
        "giant": measure(giant, options.folder / "output"),
        "many_users": measure(many, options.folder / "output"),
    }
    removed = rows["giant"]["removed"]
    kept = int(options.events) - sum(removed.values())
    command = ["python", "tests/benchmarks/giant_user.py", "--events", f"{options.events:.0e}"]
    packages = ("apache-beam", "tfx", "pyarrow", "numpy", "tensorflow")
    stored = {
        **provenance([*command, "--seed", str(options.seed)], packages),
        "num_rows": num_rows,
        **rows,
        # Its last item is the target of the test split; duplicates of others are few or none.
        "events_of_the_giant_not_in_its_history": kept - 1 - rows["giant"]["longest_history"],
    }
    write_result(options.output, stored)
    print(json.dumps(stored, indent=2))


if __name__ == "__main__":
    main()
