"""RecTools' SASRec: what training throughput is compared with, as a user of RecTools would train.

Runs in an environment of its own, with `rectools[torch]` and without this project:

    python rectools_sasrec.py --histories histories.npz --output epochs.json

fits full epochs and writes what each took, from Lightning's start of the epoch to its end. The
model is RecTools' own with its own defaults where the command line says nothing; its feed-forward
layers are as wide as the hidden states.
"""

import argparse
import json
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


class EpochClock(Callback):
    """Times each training epoch and keeps its mean loss."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._start = 0.0
        self._batch_losses: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._batch_losses = []
        self._start = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keeps the loss of a batch."""
        self._batch_losses.append(float(outputs["loss"]))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clock."""
        self.seconds.append(time.perf_counter() - self._start)
        self.losses.append(float(np.mean(self._batch_losses)))
        print(f"seconds={self.seconds[-1]:.4f} loss={self.losses[-1]:.4f}", flush=True)


def read_dataset(item_ids: np.ndarray, row_splits: np.ndarray) -> Dataset:
    """The histories as RecTools wants them: one row an interaction, a minute apart.

    Args:
      item_ids: int64 [N], histories one after the other.
      row_splits: int64 [U + 1], where each begins.
    """
    lengths = np.diff(row_splits)
    places = np.arange(len(item_ids)) - np.repeat(row_splits[:-1], lengths)
    return Dataset.construct(
        pd.DataFrame(
            {
                Columns.User: np.repeat(np.arange(len(lengths)), lengths),
                Columns.Item: item_ids,
                Columns.Weight: 1.0,
                Columns.Datetime: pd.Timestamp(2020, 1, 1) + pd.to_timedelta(places, unit="min"),
            }
        )
    )


def make_trainer(epochs: int) -> Trainer:
    """RecTools' own default trainer, on the CPU and with a clock."""
    return Trainer(
        max_epochs=epochs,
        min_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[EpochClock()],
    )


def fit_epochs(options: argparse.Namespace) -> dict[str, Any]:
    """Fits; the record of each epoch and what was fitted."""
    histories = np.load(options.histories)
    torch.manual_seed(options.seed)
    dataset = read_dataset(histories["item_ids"], histories["row_splits"])
    model = SASRecModel(
        n_blocks=options.num_blocks,
        n_heads=options.num_heads,
        n_factors=options.hidden_dim,
        session_max_len=options.max_length,
        dropout_rate=options.dropout,
        loss="softmax",
        lr=options.learning_rate,
        batch_size=options.batch_size,
        dataloader_num_workers=0,
        verbose=0,
        get_trainer_func=make_trainer,
        get_trainer_func_kwargs={"epochs": options.epochs},
    )
    model.fit(dataset)
    # RecTools fits with a copy of its trainer, and of the callbacks.
    [clock] = [c for c in model.fit_trainer.callbacks if isinstance(c, EpochClock)]
    lengths = np.diff(histories["row_splits"])
    num_positions = int(np.minimum(lengths - 1, options.max_length).sum())
    epochs = [
        {"seconds": seconds, "positions": num_positions, "loss": loss}
        for seconds, loss in zip(clock.seconds, clock.losses, strict=True)
    ]
    return {"epochs": epochs, "num_items": dataset.item_id_map.size}


def main() -> None:
    """Fits as the command line says and writes the epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", required=True, help=".npz: item_ids, row_splits, num_items")
    parser.add_argument("--output", required=True)
    parser.add_argument("--mode", choices=("float32",), default="float32")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden-dim", type=int, default=64)
    parser.add_argument("--num-blocks", type=int, default=2)
    parser.add_argument("--num-heads", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=50)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = fit_epochs(options)
    names = ("rectools", "torch", "pytorch-lightning", "numpy")
    versions = {"python": platform.python_version()} | {n: metadata.version(n) for n in names}
    Path(options.output).write_text(json.dumps({**result, "versions": versions}))


if __name__ == "__main__":
    main()
