"""What a loss over a sample of the catalog costs in accuracy, beside the softmax over all items.

    python tests/benchmarks/negatives.py --name beauty --data interactions.csv.gz --epochs 8

trains the teacher of the scene's recipe once with each loss, on a share of the users where the
softmax over all items would take hours. All figures are on validation, of the same users.

Writes `tests/benchmarks/results/negatives_<name>.json`.
"""

import argparse
import sys
import tempfile
import unittest.mock
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from stored_results import RESULTS, provenance, write_result

from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import sample_users
from adarec_tf.models import losses
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.training.devices import set_threads
from adarec_tf.training.train_teacher import train_teacher
from pipeline.configs import scene_config

_SEED, _VALID_USERS = 1, 20_000


def mixed_weights(item_counts: np.ndarray) -> np.ndarray:
    """Half of the draws as another position's label is, half uniform."""
    return item_counts / max(1, item_counts.sum()) + 1 / len(item_counts)


# The loss of the config, and what its negatives are drawn by.
LOSSES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "all items": ("softmax", losses.frequency_weights),
    "frequency to the power of .75": ("sampled_softmax", losses.frequency_weights),
    "half in-batch, half uniform": ("sampled_softmax", mixed_weights),
    "gBCE, uniform": ("gbce", losses.frequency_weights),
}


def measure(scene: Dataset, name: str, user_share: float, epochs: int) -> list[dict[str, Any]]:
    """One training with each loss.

    Args:
      scene: the log.
      name: whose recipe it is.
      user_share: of the users whose histories are trained on.
      epochs: of a training.
    """
    config = scene_config(name)
    train = sample_users(scene.train, round(user_share * scene.train.num_users))
    valid = sample_users(scene.valid, _VALID_USERS)
    rows = []
    for negatives, (loss, weights) in LOSSES.items():
        model = build_teacher(config.teacher, scene.num_items, scene.max_length, seed=_SEED)
        training = config.training.replace(loss=loss, max_epochs=epochs, patience=epochs)
        with (
            tempfile.TemporaryDirectory() as folder,
            unittest.mock.patch.object(losses, "frequency_weights", weights),
        ):
            history = train_teacher(
                model,
                train,
                valid,
                training,
                seen=scene.seen,
                seed=_SEED,
                checkpoint_dir=folder,
                windows=scene.statistics.windows,
            )
        rows.append(
            {
                "negatives": negatives,
                "ndcg": [round(record[MONITOR], 5) for record in history],
                "epoch_s": round(float(np.median([record["train_s"] for record in history])), 1),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measures and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of a scene in pipeline/configs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--user-share", type=float, default=1.0)
    options = parser.parse_args()
    set_threads()
    scene = Dataset.from_config(str(options.data), scene_config(options.name).data)
    rows = measure(scene, options.name, options.user_share, options.epochs)
    command = [
        *("python", "tests/benchmarks/negatives.py", "--name", options.name),
        *("--data", f"<log>/{options.data.name}", "--epochs", str(options.epochs)),
        *("--user-share", str(options.user_share)),
    ]
    write_result(
        RESULTS / f"negatives_{options.name}.json",
        {
            **provenance(command, ("tensorflow", "keras", "numpy")),
            "seed": _SEED,
            "items": scene.num_items,
            "num_negatives": losses.NUM_NEGATIVES,
            "user_share": options.user_share,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
