"""SASRec with and without a bias for each distance of its attention, on validation.

    python tests/benchmarks/attention_distances.py --name beauty --data interactions.csv.gz \
        --workdir WORK

Both are trained by the recipe of the scene, or for `--epochs`. What was trained stays in WORK, from
which an interrupted comparison goes on. No test target is looked at.

Writes `tests/benchmarks/results/attention_distances_<name>.json`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import keras
import tensorflow as tf
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.models.teachers.sasrec import SASRec
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.training.devices import set_threads
from adarec_tf.training.train_teacher import train_teacher
from pipeline.configs import scene_config


def plain(model: SASRec) -> SASRec:
    """The model, which is not built yet, without biases for distances."""
    for block in model.blocks:
        block.attention.num_distances = 0
    return model


KINDS = {"places alone": plain, "distances": lambda model: model}


def train(
    kind: str, name: str, scene: Dataset, training: TrainingConfig, seed: int, work: Path
) -> dict[str, Any]:
    """The best epoch of a teacher on validation, and seconds of its training."""
    keras.utils.set_random_seed(seed)
    sizes = scene_config(name).teacher.to_dict()
    sizes.pop("name")
    model = KINDS[kind](SASRec(num_items=scene.num_items, max_length=scene.max_length, **sizes))
    model(tf.zeros([1, 1], tf.int64))
    records = train_teacher(
        model,
        scene.train,
        scene.valid,
        training,
        seen=scene.seen,
        seed=seed,
        checkpoint_dir=str(work / f"{kind.replace(' ', '_')}-{training.max_epochs}-{seed}"),
        windows=scene.statistics.windows,
    )
    row = {
        "valid": max(record[MONITOR] for record in records),
        "train_s": sum(record["train_s"] for record in records),
    }
    print(seed, kind, row, flush=True)
    return row


def main() -> None:
    """Trains what is not there yet, and stores it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of a scene in pipeline/configs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    set_threads()
    config = scene_config(options.name)
    scene = Dataset.from_config(str(options.data), config.data)
    training = config.training.replace(max_epochs=options.epochs or config.training.max_epochs)
    command = [
        *("python", "tests/benchmarks/attention_distances.py", "--name", options.name),
        *("--data", f"<log>/{options.data.name}", "--workdir", "<work>"),
        *(("--epochs", str(options.epochs)) if options.epochs else ()),
        *("--seeds", *map(str, options.seeds)),
    ]
    origin = provenance(command, ("tensorflow", "keras", "numpy"))  # before a result is written
    seeds = {
        str(seed): {
            kind: train(kind, options.name, scene, training, seed, options.workdir)
            for kind in KINDS
        }
        for seed in options.seeds
    }
    stored = {**origin, "epochs": training.max_epochs, "seeds": seeds}
    write_result(RESULTS / f"attention_distances_{options.name}.json", stored)


if __name__ == "__main__":
    main()
