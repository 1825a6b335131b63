"""Training throughput of SASRec here, in plain PyTorch and in RecTools, on the same histories.

Make the two other environments once, then measure on a machine that does nothing else:

    python3.11 -m venv torch-env && torch-env/bin/pip install torch numpy
    python3.11 -m venv rectools-env && rectools-env/bin/pip install "rectools[torch]"
    python tests/benchmarks/training_throughput.py --data interactions.csv.gz \
        --torch-python torch-env/bin/python --rectools-python rectools-env/bin/python

Each round starts every row once, one after the other, each in a process of its own on the same
number of threads. A process trains full epochs on the train split of Beauty's leave-one-out; the
first warms up (tracing, buffers) and is not counted. Timed is the training alone:
cutting and padding batches, forward, backward and update. Rates are in real positions a second,
which are the positions with a label; padding does not count. All rows train two blocks of width 64
with two heads, feed-forward layers of the same width, dropout .2 and a softmax over the whole
catalog (RecTools knows the items of the train split only, as `items` of its row says).
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from stored_results import RESULTS, ROOT, provenance, spread, write_result

from adarec_tf.data.dataset import Dataset
from pipeline.configs import scene_config

SCENE = "beauty"
BASE = "adarec"
MAKE_ENVIRONMENT = {
    "torch": "python3.11 -m venv torch-env && torch-env/bin/pip install torch numpy",
    "rectools": 'python3.11 -m venv rectools-env && rectools-env/bin/pip install "rectools[torch]"',
}


@dataclass(frozen=True)
class Row:
    """One way to train: a script beside this one, its mode, and the interpreter that runs it."""

    package: str
    script: str
    mode: str

    @property
    def name(self) -> str:
        """The row's name in the result."""
        return f"{self.package} {self.mode}"


ROWS = (
    Row("adarec", "adarec_sasrec.py", "float32"),
    Row("torch", "torch_sasrec.py", "float32"),
    Row("rectools", "rectools_sasrec.py", "float32"),
    Row("adarec", "adarec_sasrec.py", "bfloat16"),
    Row("torch", "torch_sasrec.py", "bfloat16"),
)


def write_histories(data: str, num_users: int | None, path: Path) -> dict[str, int]:
    """Writes the train split that all rows read; returns its sizes."""
    scene = Dataset.from_config(data, scene_config(SCENE).data)
    users = np.arange(scene.train.num_users)[:num_users]
    train = scene.train.take(users)
    np.savez(
        path,
        item_ids=train.item_ids,
        row_splits=train.row_splits,
        num_items=scene.num_items,
        valid_targets=scene.valid.targets[users],
    )
    num_positions = int(np.minimum(train.lengths - 1, scene.max_length).clip(min=0).sum())
    return {
        "users": train.num_users,
        "items": scene.num_items,
        "max_length": scene.max_length,
        "positions": num_positions,
    }


def train(row: Row, interpreter: str, histories: Path, options: argparse.Namespace) -> Any:
    """Runs one row in a process of its own; what it wrote about its epochs.

    Raises:
      SystemExit: it failed; with its error output.
    """
    output = histories.with_name("epochs.json")
    command = [interpreter, str(Path(__file__).with_name(row.script))]
    for name, value in (
        ("histories", histories),
        ("output", output),
        ("mode", row.mode),
        ("epochs", options.epochs),
        ("seed", options.seed),
        ("threads", options.threads),
    ):
        command += [f"--{name}", str(value)]
    # The other environments should not see this project, nor what is installed beside it.
    path = {"PYTHONPATH": str(ROOT)} if row.package == BASE else {"PYTHONPATH": ""}
    environment = {**os.environ, **path, "OMP_NUM_THREADS": str(options.threads)}
    finished = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    if finished.returncode != 0:
        raise SystemExit(f"{row.name} failed: {shlex.join(command)}\n{finished.stderr}")
    return json.loads(output.read_text())


def rate_of(result: dict[str, Any]) -> float:
    """Real positions a second in all epochs but the first."""
    timed = result["epochs"][1:]
    return sum(e["positions"] for e in timed) / sum(e["seconds"] for e in timed)


def measure(histories: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All rounds of all rows: versions, losses and rates of each row, and their ratios."""
    interpreters = {
        "adarec": sys.executable,
        "torch": options.torch_python,
        "rectools": options.rectools_python,
    }
    rates: dict[str, list[float]] = {row.name: [] for row in ROWS}
    last: dict[str, Any] = {}
    for number in range(options.rounds):
        for row in ROWS:
            print(f"round {number + 1} of {options.rounds}: {row.name}", flush=True)
            last[row.name] = train(row, interpreters[row.package], histories, options)
            rates[row.name].append(rate_of(last[row.name]))
    return {
        "positions_per_s": {
            name: {
                **{k: round(v) for k, v in spread(values).items()},
                "rounds": [round(v) for v in values],
                "items": last[name]["num_items"],
                "loss_of_epochs": [round(e["loss"], 4) for e in last[name]["epochs"]],
                "versions": last[name]["versions"],
            }
            for name, values in rates.items()
        },
        "ratios": ratios(rates),
    }


def ratios(rates: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """This project's rates in units of the others', round by round."""
    ours = [name for name in rates if name.startswith(BASE)]
    theirs = [name for name in rates if not name.startswith(BASE)]
    return {
        f"{name} / {other}": {
            key: round(value, 2)
            for key, value in spread(
                [a / b for a, b in zip(rates[name], rates[other], strict=True)]
            ).items()
        }
        for name in ours
        for other in theirs
    }


def check_interpreter(parser: argparse.ArgumentParser, package: str, interpreter: str) -> None:
    """Ends the program with what to do if an interpreter cannot import the package it is for."""
    try:
        subprocess.run([interpreter, "-c", f"import {package}"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        parser.error(
            f"`--{package}-python` should be the Python of an environment with {package}. "
            f"Received: {interpreter}. Make one with: {MAKE_ENVIRONMENT[package]}"
        )


def parse_options() -> argparse.Namespace:
    """The command line, with both environments checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="Beauty's log")
    parser.add_argument("--torch-python", default="torch-env/bin/python")
    parser.add_argument("--rectools-python", default="rectools-env/bin/python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="of a process; the first warms up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, help="train on the first users only, as a trial")
    parser.add_argument("--output", type=Path, default=RESULTS / "training_throughput.json")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error(f"`--epochs` should be 2 or more. Received: {options.epochs}.")
    check_interpreter(parser, "torch", options.torch_python)
    check_interpreter(parser, "rectools", options.rectools_python)
    return options


def main() -> None:
    """Measures, stores and prints."""
    options = parse_options()
    names = ["rounds", "epochs", "threads", "seed", *(["users"] if options.users else [])]
    command = [
        *("python", "tests/benchmarks/training_throughput.py", "--data", "<log>"),
        *("--torch-python", "<torch>", "--rectools-python", "<rectools>"),
        *(part for name in names for part in (f"--{name}", str(getattr(options, name)))),
    ]
    with tempfile.TemporaryDirectory() as folder:
        histories = Path(folder) / "histories.npz"
        sizes = write_histories(options.data, options.users, histories)
        measured = measure(histories, options)
    stored = {
        **provenance(command, ("numpy",)),
        "load_before": round(os.getloadavg()[0], 2),
        "seed": options.seed,
        "timed": f"epochs 2 to {options.epochs}: batches, forward, backward, update",
        "data": {"scene": SCENE, **sizes},
        **measured,
    }
    write_result(options.output, stored)
    for name, row in stored["positions_per_s"].items():
        print(f"{name}: {row['median']:,} positions/s ({row['min']:,} to {row['max']:,})")
    for name, row in stored["ratios"].items():
        print(f"{name}: {row['median']:.2f} ({row['min']:.2f} to {row['max']:.2f})")
    print(options.output)


if __name__ == "__main__":
    main()
