"""Keras' `fit` against the loop that it took the place of: speed, equal seeds, and resumption.

    git worktree add ../before 20d195d
    python tests/benchmarks/keras_fit.py --data beauty/interactions.csv.gz --before ../before

Both trees train Beauty's SASRec (2 blocks of width 64, softmax over the catalog) in turns, each
time in a process of its own on one thread. The first epoch traces the step and is not timed. Then,
on fewer users, each tree trains twice with equal seeds, and once more with a SIGKILL after the
first epoch and a second start: the largest difference of any weight is stored.
"""

import argparse
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

SCENE = "beauty"


def child(histories: str, output: str, epochs: int) -> None:
    """One training, by the code of the tree on the path; continues where it was killed."""
    import tensorflow as tf

    from adarec_tf.config.teacher import SASRecConfig
    from adarec_tf.config.training import TrainingConfig
    from adarec_tf.data.histories.histories import Histories
    from adarec_tf.models.teachers import build_teacher
    from adarec_tf.training.train_teacher import train_teacher

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    arrays = np.load(histories)
    users = len(arrays["targets"])
    keys = np.arange(users).astype(bytes).astype(object)
    train = Histories(keys, arrays["item_ids"], arrays["row_splits"], np.zeros(users, np.int64))
    valid = train._replace(targets=arrays["targets"]).take(np.arange(min(users, 512)))
    num_items, max_length = int(arrays["num_items"]), int(arrays["max_length"])
    config = SASRecConfig(hidden_dim=64, num_blocks=2, feed_forward_dim=64, dropout=0.2)
    model = build_teacher(config, num_items, max_length, seed=0)
    has_length = "max_length" in inspect.signature(train_teacher).parameters
    records = train_teacher(
        model,
        train,
        valid,
        TrainingConfig(max_epochs=epochs, patience=epochs),
        seen="exclude",
        seed=0,
        checkpoint_dir=f"{output}.checkpoint",
        **({"max_length": max_length} if has_length else {}),
    )
    np.savez(f"{output}.npz", *[variable.numpy() for variable in model.weights])
    kept = [
        {
            "positions_per_second": record["positions_per_second"],
            "loss": record.get("loss", record.get("task")),
            "ndcg@10": record.get("val_ndcg@10", record.get("ndcg@10/full")),
        }
        for record in records
    ]
    Path(output).write_text(json.dumps(kept))


def start(tree: Path, histories: Path, output: Path, epochs: int) -> subprocess.Popen:
    """Starts a training by the code of a tree."""
    command = [sys.executable, __file__, "--child", str(histories), str(output), str(epochs)]
    environment = {**os.environ, "PYTHONPATH": str(tree), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def train(tree: Path, histories: Path, output: Path, epochs: int) -> list[dict[str, float]]:
    """The records of a training that ends."""
    process = start(tree, histories, output, epochs)
    if process.wait() != 0:
        raise SystemExit(f"A training by {tree} failed with {process.returncode}.")
    return json.loads(output.read_text())


def train_killed(tree: Path, histories: Path, output: Path, epochs: int) -> None:
    """A training that is killed after its first epoch, and started again."""
    process = start(tree, histories, output, epochs)
    while not Path(f"{output}.checkpoint", "checkpoint").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(tree, histories, output, epochs)


def difference(first: Path, second: Path) -> float:
    """The largest of any weight."""
    with np.load(f"{first}.npz") as one, np.load(f"{second}.npz") as other:
        return max(float(np.abs(one[name] - other[name]).max()) for name in one.files)


def write_histories(scene: Any, num_users: int, path: Path) -> Path:
    """Writes what a training reads."""
    users = np.arange(scene.train.num_users)[:num_users]
    train_split = scene.train.take(users)
    np.savez(
        path,
        item_ids=train_split.item_ids,
        row_splits=train_split.row_splits,
        targets=scene.valid.targets[users],
        num_items=scene.num_items,
        max_length=scene.max_length,
    )
    return path


def measure(trees: dict[str, Path], scene: Any, rounds: int, folder: Path) -> dict[str, Any]:
    """Speeds, differences of weights, and losses of each tree."""
    from stored_results import spread

    large = write_histories(scene, scene.train.num_users, folder / "large.npz")
    small = write_histories(scene, 4000, folder / "small.npz")
    rates: dict[str, list[float]] = {name: [] for name in trees}
    rows: dict[str, Any] = {}
    for number in range(rounds):
        for name, tree in trees.items():
            records = train(tree, large, folder / f"{name}-{number}", 3)
            rates[name].append(float(np.mean([r["positions_per_second"] for r in records[1:]])))
            rows[name] = {"loss_of_epochs": [round(r["loss"], 5) for r in records]}
            rows[name]["ndcg@10_of_epochs"] = [round(r["ndcg@10"], 5) for r in records]
    for name, tree in trees.items():
        first, second, killed = (folder / f"{name}-{kind}" for kind in ("one", "two", "killed"))
        train(tree, small, first, 3)
        train(tree, small, second, 3)
        train_killed(tree, small, killed, 3)
        rows[name] |= {
            "positions_per_s": {key: round(value) for key, value in spread(rates[name]).items()},
            "difference_of_equal_seeds": difference(first, second),
            "difference_when_killed": difference(first, killed),
        }
    pairs = zip(*rates.values(), strict=True)
    return {
        **rows,
        "fit / loop": {k: round(v, 3) for k, v in spread([b / a for a, b in pairs]).items()},
    }


def main() -> None:
    """Trains in turns and stores the summary."""
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    from stored_results import RESULTS, ROOT, provenance, write_result

    from adarec_tf.data.dataset import Dataset
    from pipeline.configs import scene_config

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of commit 20d195d")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "keras_fit.json")
    options = parser.parse_args()
    scene = Dataset.from_config(options.data, scene_config(SCENE).data)
    with tempfile.TemporaryDirectory() as folder:
        trees = {"loop": options.before.resolve(), "fit": ROOT}
        result = measure(trees, scene, options.rounds, Path(folder))
    command = [
        *("python", "tests/benchmarks/keras_fit.py", "--data", "<log>", "--before", "<checkout>"),
        *("--rounds", str(options.rounds)),
    ]
    made = provenance(command, ["keras", "numpy", "tensorflow"])
    write_result(options.output, {**made, "seed": 0, "data": {"scene": SCENE}, **result})
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
