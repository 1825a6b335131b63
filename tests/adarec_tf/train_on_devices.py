"""One process of a training on the toy scene: alone, with two devices, or one of several workers.

    PYTHONPATH=. python tests/adarec_tf/train_on_devices.py {one,two} <folder> <name>

`one` uses the strategy that is chosen for what there is, which `TF_CONFIG` may change; `two` makes
two devices of the CPU. Writes `<folder>/<name>.npz`: the weights of the trained model, and those of
a second model that only continues from its checkpoint.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import walk_scene

from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.models import optimizer
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.devices import choose_strategy
from adarec_tf.training.train_teacher import train_teacher

# Clips in most steps, decays and counts items, which replicas could get wrong.
CONFIG = TrainingConfig(
    max_epochs=2,
    positions_per_batch=256,
    learning_rate=1e-2,
    weight_decay=0.1,
    loss="sampled_softmax",
)
optimizer.CLIP_NORM = 0.3


def two_devices() -> tf.distribute.Strategy:
    """One replica on each half of the CPU."""
    [cpu] = tf.config.list_physical_devices("CPU")
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def train(strategy: tf.distribute.Strategy, folder: Path, name: str) -> tuple[keras.Model, list]:
    scene = walk_scene.histories()
    with strategy.scope():
        config = NextItNetConfig(hidden_dim=8, num_blocks=1, dropout=0.0)
        model = build_teacher(config, walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH, seed=1)
    history = train_teacher(
        model,
        scene["train"],
        scene["valid"],
        CONFIG,
        seen="keep",
        seed=2,
        checkpoint_dir=str(folder / "checkpoint"),
        log_dir=str(folder / "log" / name),
    )
    return model, history


def main(devices: str, folder: Path, name: str) -> None:
    strategy = two_devices() if devices == "two" else choose_strategy()
    trained, history = train(strategy, folder, name)
    continued, _ = train(strategy, folder, name)
    weights = {
        f"{kind}/{number}": variable.numpy()
        for kind, model in (("trained", trained), ("continued", continued))
        for number, variable in enumerate(model.weights)
    }
    np.savez(folder / f"{name}.npz", history=json.dumps(history), **weights)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
