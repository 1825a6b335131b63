"""How fast the search trains: positions a second of its two steps, beside the released code's.

    python tests/benchmarks/search_throughput.py --data interactions.csv.gz --users 6000

The histories are Beauty's, the teacher is a SASRec of 8 blocks of width 128 with random weights
(what it says does not matter for the time), the student has 4 cells of 3 nodes and width 32. An
epoch of the weights alone comes first (tracing, buffers, the cache of the teacher's outputs) and
is not counted. Timed are the epochs after it, in which a step of the weights and one of the alphas
alternate, with distillation, from cutting the batches to the last update.

A position counts where it has a label, padding does not; each is read by one of the two steps. The
released code makes one joint step of both on the same batch, and its figure counts those positions
once; so `weight_positions_per_second`, which counts the half of the weights alone, is what it is
compared with.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tensorflow as tf
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import split_halves
from adarec_tf.export.profile import count_costs
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search import searcher
from pipeline.configs import scene_config

# Positions with a label a second of the released code's search, two cores, same sizes of teacher,
# student and batch: 64 rows of 6.9 positions on average in 1.73 s, most of it padding to 50.
RELEASED_CODE = 217
_SIZES = ("student.num_cells=4", "student.num_nodes=3", "student.hidden_dim=32")
_PACKAGES = ("tensorflow", "keras", "numpy", "pot")


def measured_epochs(
    scene: Dataset, config: PipelineConfig, num_users: int, seed: int
) -> list[dict[str, Any]]:
    """The epochs of a search in which both steps run; the first one warms up and is left out."""
    train = scene.train.take(np.arange(min(num_users, scene.train.num_users)))
    teacher = build_teacher(
        SASRecConfig(hidden_dim=128, num_blocks=8), scene.num_items, scene.max_length, seed=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        result = searcher.search_genotype(
            teacher,
            train,
            scene.valid.take(np.arange(64)),  # validation is not timed
            costs=count_costs(teacher, config.student, scene.max_length),
            student=config.student,
            search=config.search,
            distillation=config.distillation,
            max_length=scene.max_length,
            seen=scene.seen,
            seed=seed,
            checkpoint_dir=str(Path(folder) / "checkpoint"),
            compute_dtype=config.compute_dtype,
        )
    return [record for record in result.trace if record.get("alphas_moved")][1:]


def rates(scene: Dataset, epochs: list[dict[str, Any]], num_users: int) -> dict[str, float]:
    """Positions a second of the median epoch."""
    train = scene.train.take(np.arange(min(num_users, scene.train.num_users)))
    weights_half = split_halves(train)[0]
    num_weight_positions = np.minimum(weights_half.lengths - 1, scene.max_length).clip(min=0).sum()
    weights = statistics.median(num_weight_positions / epoch["train_s"] for epoch in epochs)
    return {
        "positions_per_second": statistics.median(e["positions_per_second"] for e in epochs),
        "weight_positions_per_second": weights,
        "times_the_released_code": weights / RELEASED_CODE,
    }


def main() -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="beauty")
    parser.add_argument("--data", required=True)
    parser.add_argument("--users", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=3, help="that are timed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    searcher.STABLE_EPOCHS = epochs = options.epochs + 2  # none ends early
    config = scene_config("beauty").override(
        [
            *_SIZES,
            f"search.max_epochs={epochs}",
            "search.warmup_epochs=1",
            *options.settings,
        ]
    )
    scene = Dataset.from_config(options.data, config.data)
    measured = measured_epochs(scene, config, options.users, options.seed)
    command = [
        *("python", "tests/benchmarks/search_throughput.py", "--name", options.name),
        *("--data", f"<log>/{Path(options.data).name}", "--users", str(options.users)),
        *("--epochs", str(options.epochs), "--threads", str(options.threads)),
        *(part for setting in options.settings for part in ("--set", setting)),
    ]
    stored = {
        **provenance(command, _PACKAGES),
        **rates(scene, measured, options.users),
        "released_code_positions_per_second": RELEASED_CODE,
        "student": config.student.to_dict(),
        "search": config.search.to_dict(),
        "distillation": config.distillation.to_dict(),
        "compute_dtype": config.compute_dtype,
    }
    path = RESULTS / f"search_throughput_{options.name}.json"
    write_result(path, stored)
    print({name: round(value, 1) for name, value in stored.items() if "second" in name}, path)


if __name__ == "__main__":
    main()
