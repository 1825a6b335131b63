"""A plain PyTorch SASRec on length-bucketed batches: what training throughput is compared with.

Runs in an environment of its own, with torch and numpy and without this project:

    python torch_sasrec.py --histories histories.npz --output epochs.json

trains full epochs and writes what each took. The model is the usual one: item and place embedding,
pre-norm blocks of causal self-attention and a feed-forward layer, cross-entropy over the whole
catalog with the item table as output layer. Logits are made at labeled positions only, batches
hold histories of about equal length, and rows are padded at the end, so that causal attention needs
no other mask.
"""

import argparse
import contextlib
import json
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

PAD = 0


class Batch(NamedTuple):
    """Inputs [B, L], padded at the end; flat places of labeled positions [N]; labels [N]."""

    item_ids: torch.Tensor
    places: torch.Tensor
    labels: torch.Tensor


class Block(nn.Module):
    """Causal self-attention, then two layers at each position; both pre-norm residual branches."""

    def __init__(self, hidden_dim: int, num_heads: int, feed_forward_dim: int, dropout: float):
        super().__init__()
        self.num_heads, self.dropout_rate = num_heads, dropout
        self.attention_norm = nn.LayerNorm(hidden_dim)
        self.projections = nn.Linear(hidden_dim, 3 * hidden_dim)
        self.attention_output = nn.Linear(hidden_dim, hidden_dim)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(hidden_dim),
            nn.Linear(hidden_dim, feed_forward_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feed_forward_dim, hidden_dim),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Maps states [B, L, D] to states [B, L, D]."""
        batch, length, hidden_dim = states.shape
        projected = self.projections(self.attention_norm(states))
        query, key, value = (
            projected.view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        )
        attended = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=self.dropout_rate if self.training else 0.0
        )
        attended = attended.transpose(1, 2).reshape(batch, length, hidden_dim)
        states = states + self.dropout(self.attention_output(attended))
        return states + self.feed_forward(states)


class SASRec(nn.Module):
    """Self-attentive sequential recommendation (Kang and McAuley, 2018) with a full softmax."""

    def __init__(
        self,
        num_items: int,
        max_length: int,
        hidden_dim: int,
        num_blocks: int,
        num_heads: int,
        feed_forward_dim: int,
        dropout: float,
    ):
        super().__init__()
        self.item_table = nn.Parameter(torch.randn(num_items + 1, hidden_dim) * hidden_dim**-0.5)
        self.position_table = nn.Parameter(torch.randn(max_length, hidden_dim) * 0.02)
        self.scale = hidden_dim**0.5
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(
            *(Block(hidden_dim, num_heads, feed_forward_dim, dropout) for _ in range(num_blocks))
        )
        self.final_norm = nn.LayerNorm(hidden_dim)

    def forward(self, batch: Batch) -> torch.Tensor:
        """The mean cross-entropy at labeled positions, in nats."""
        states = functional.embedding(batch.item_ids, self.item_table) * self.scale
        states = states + self.position_table[: batch.item_ids.shape[1]]
        states = self.blocks(self.dropout(states))
        labeled = self.final_norm(states.flatten(0, 1)[batch.places])
        logits = functional.linear(labeled, self.item_table[1:])
        return functional.cross_entropy(logits, batch.labels - 1)


def training_batches(
    item_ids: np.ndarray,
    row_splits: np.ndarray,
    max_length: int,
    batch_size: int,
    generator: np.random.Generator,
) -> Iterator[Batch]:
    """One epoch: histories of about equal length together, batches in random order.

    Args:
      item_ids: int64 [N], histories one after the other.
      row_splits: int64 [U + 1], where each begins.
      max_length: positions a model sees.
      batch_size: histories of a batch.
      generator: of the shuffling.
    """
    inputs = np.minimum(np.diff(row_splits) - 1, max_length)
    users = np.flatnonzero(inputs > 0)
    users = users[np.lexsort((generator.random(len(users)), inputs[users]))]
    chunks = [users[start : start + batch_size] for start in range(0, len(users), batch_size)]
    for index in generator.permutation(len(chunks)):
        rows = chunks[index]
        columns = np.arange(inputs[rows].max())[None, :]
        is_real = columns < inputs[rows][:, None]
        places = (row_splits[rows + 1] - 1 - inputs[rows])[:, None] + columns
        padded = np.where(is_real, item_ids[np.where(is_real, places, 0)], PAD)
        yield Batch(
            torch.from_numpy(padded),
            torch.from_numpy(np.flatnonzero(is_real)),
            torch.from_numpy(item_ids[places[is_real] + 1]),
        )


def train_epochs(
    histories: Mapping[str, np.ndarray], options: argparse.Namespace
) -> list[dict[str, float]]:
    """Trains; one record an epoch: seconds, labeled positions, mean loss."""
    torch.manual_seed(options.seed)
    generator = np.random.default_rng(options.seed)
    model = SASRec(
        int(histories["num_items"]),
        options.max_length,
        options.hidden_dim,
        options.num_blocks,
        options.num_heads,
        options.feed_forward_dim,
        options.dropout,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, fused=True)
    records = []
    for _ in range(options.epochs):
        start = time.perf_counter()
        num_positions, summed_loss = 0, 0.0
        for batch in training_batches(
            histories["item_ids"],
            histories["row_splits"],
            options.max_length,
            options.batch_size,
            generator,
        ):
            optimizer.zero_grad(set_to_none=True)
            with _precision(options.mode):
                task_loss = model(batch)
            task_loss.backward()
            optimizer.step()
            num_positions += len(batch.labels)
            summed_loss += task_loss.item() * len(batch.labels)
        seconds = time.perf_counter() - start
        records.append(
            {
                "seconds": seconds,
                "positions": num_positions,
                "loss": summed_loss / num_positions,
            }
        )
        print(" ".join(f"{name}={value:.4f}" for name, value in records[-1].items()), flush=True)
    return records


def _precision(mode: str) -> contextlib.AbstractContextManager[object]:
    if mode == "bfloat16":
        return torch.autocast("cpu", torch.bfloat16)
    return contextlib.nullcontext()


def main() -> None:
    """Trains as the command line says and writes the epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", required=True, help=".npz: item_ids, row_splits, num_items")
    parser.add_argument("--output", required=True)
    parser.add_argument("--mode", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden-dim", type=int, default=64)
    parser.add_argument("--num-blocks", type=int, default=2)
    parser.add_argument("--num-heads", type=int, default=2)
    parser.add_argument("--feed-forward-dim", type=int, default=64)
    parser.add_argument("--max-length", type=int, default=50)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    histories = np.load(options.histories)
    result = {
        "epochs": train_epochs(histories, options),
        "num_items": int(histories["num_items"]),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    Path(options.output).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
