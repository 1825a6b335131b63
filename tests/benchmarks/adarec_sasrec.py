"""This project's SASRec, trained by `train_teacher` as a run trains it: one side of the comparison.

    python adarec_sasrec.py --histories histories.npz --output epochs.json

trains full epochs and writes what each took: `train_s` of the epoch's record, which is everything
from cutting its batches to the last update, and neither validation nor checkpoint. As in a run,
TensorFlow's operations are deterministic and start one at a time.
"""

import argparse
import json
import platform
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import tensorflow as tf

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.train_teacher import train_teacher

VALIDATION_USERS = 64  # validation is not timed


def read_histories(path: str) -> tuple[Histories, Histories, int]:
    """The train split, a few validation histories, and the size of the catalog."""
    arrays = np.load(path)
    num_users = len(arrays["valid_targets"])
    keys = np.arange(num_users).astype(bytes).astype(object)
    item_ids, row_splits = arrays["item_ids"], arrays["row_splits"]
    train = Histories(keys, item_ids, row_splits, np.zeros(num_users, np.int64))
    # Leave-one-out: the history before the validation target is the training history.
    valid = train._replace(targets=arrays["valid_targets"])
    first_users = np.arange(min(num_users, VALIDATION_USERS))
    return train, valid.take(first_users), int(arrays["num_items"])


def train_epochs(
    train: Histories, valid: Histories, num_items: int, options: argparse.Namespace
) -> list[dict[str, float]]:
    """Trains; one record an epoch: seconds, labeled positions, mean loss."""
    teacher = build_teacher(
        SASRecConfig(
            hidden_dim=options.hidden_dim,
            num_blocks=options.num_blocks,
            num_heads=options.num_heads,
            feed_forward_dim=options.feed_forward_dim,
            dropout=options.dropout,
        ),
        num_items,
        options.max_length,
        seed=options.seed,
    )
    training = TrainingConfig(
        max_epochs=options.epochs,
        patience=options.epochs,
        positions_per_batch=options.positions_per_batch,
    )
    with tempfile.TemporaryDirectory() as checkpoint_dir:
        records = train_teacher(
            teacher,
            train,
            valid,
            training,
            seen="exclude",
            seed=options.seed,
            compute_dtype=options.mode,
            checkpoint_dir=checkpoint_dir,
        )
    num_positions = int(np.minimum(train.lengths - 1, options.max_length).clip(min=0).sum())
    epochs = [
        {"seconds": record["train_s"], "positions": num_positions, "loss": record["loss"]}
        for record in records
    ]
    for epoch in epochs:
        print(" ".join(f"{name}={value:.4f}" for name, value in epoch.items()))
    return epochs


def main() -> None:
    """Trains as the command line says and writes the epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument(
        "--mode", choices=PipelineConfig.choices("compute_dtype"), default="float32"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden-dim", type=int, default=64)
    parser.add_argument("--num-blocks", type=int, default=2)
    parser.add_argument("--num-heads", type=int, default=2)
    parser.add_argument("--feed-forward-dim", type=int, default=64)
    parser.add_argument("--max-length", type=int, default=50)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--positions-per-batch", type=int, default=1024)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    train, valid, num_items = read_histories(options.histories)
    epochs = train_epochs(train, valid, num_items, options)
    versions = {name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    versions["python"] = platform.python_version()
    result = {"epochs": epochs, "num_items": num_items, "versions": versions}
    Path(options.output).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
