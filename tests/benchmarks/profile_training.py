"""Profiles one epoch of a teacher's training: is it waiting for batches, and what does it compute?

    python tests/benchmarks/profile_training.py --scene beauty --data interactions.csv.gz

trains for two epochs, the second under TensorFlow's profiler, writes
`tests/benchmarks/results/profile_<scene>.json` and prints it.
"""

import argparse
import collections
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tensorflow as tf
from stored_results import RESULTS, provenance, write_result
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XLine, XPlane, XSpace

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.batches import Batch, EpochBatches
from adarec_tf.data.dataset import Dataset
from adarec_tf.models import next_item_model
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training import train_teacher as training
from pipeline.configs import scene_config

INPUT, STEP = "make_batch", "train_step"
NUM_OPERATIONS = 12
_SETTINGS = ("scene", "seed", "data", "teacher", "training")
PROFILED_EPOCH = 1  # in the first one the step is still being compiled


@dataclass(frozen=True)
class ProfiledBatches:
    """The same batches; the profiler sees when one is made and when one is being used."""

    batches: EpochBatches
    trace_dir: str

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.batches)
        tf.profiler.experimental.start(self.trace_dir)
        try:
            while True:
                with tf.profiler.experimental.Trace(INPUT):
                    batch = next(batches, None)
                if batch is None:
                    return
                with tf.profiler.experimental.Trace(STEP):
                    yield batch
        finally:
            tf.profiler.experimental.stop()


def train(config: PipelineConfig, scene: Dataset, num_users: int, folder: str) -> str:
    """Trains on some of the users; returns the folder of the profile."""
    make_batches = next_item_model.next_item_batches

    def profiled(*arguments: Any, epoch: int, **options: Any) -> EpochBatches | ProfiledBatches:
        batches = make_batches(*arguments, epoch=epoch, **options)
        return ProfiledBatches(batches, f"{folder}/trace") if epoch == PROFILED_EPOCH else batches

    next_item_model.next_item_batches = profiled
    train_split = scene.train
    users = np.arange(min(num_users, train_split.num_users))
    training.train_teacher(
        build_teacher(config.teacher, scene.num_items, scene.max_length, seed=config.seed),
        train_split.take(users),
        scene.valid.take(users[:100]),
        config.training.replace(max_epochs=2, patience=2),
        seen=scene.seen,
        seed=config.seed,
        checkpoint_dir=f"{folder}/checkpoint",
        windows=config.data.windows,
        compute_dtype=config.compute_dtype,
    )
    return f"{folder}/trace"


def host_plane(trace_dir: str) -> XPlane:
    """What the profiler recorded of the host's threads."""
    [path] = Path(trace_dir).rglob("*.xplane.pb")
    space = XSpace.FromString(path.read_bytes())
    [plane] = [plane for plane in space.planes if plane.name == "/host:CPU"]
    return plane


def self_times(line: XLine, names: dict[int, str]) -> Iterator[tuple[str, int]]:
    """Each event of a thread with its picoseconds, without those of the events inside it."""
    events = sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps))
    running: list[list[Any]] = []  # name, end, what is left of its time
    for event in events:
        while running and running[-1][1] <= event.offset_ps:
            name, _, own = running.pop()
            yield name, own
        if running:
            running[-1][2] -= event.duration_ps
        end = event.offset_ps + event.duration_ps
        running.append([names[event.metadata_id], end, event.duration_ps])
    for name, _, own in running:
        yield name, own


def analyze(plane: XPlane) -> dict[str, Any]:
    """Shares of time: of the loop on the one hand, of all operations on the other."""
    names = {number: metadata.name for number, metadata in plane.event_metadata.items()}
    totals: dict[str, int] = collections.Counter()
    counts: dict[str, int] = collections.Counter()
    operations: dict[str, int] = collections.Counter()
    for line in plane.lines:
        for event in line.events:
            totals[names[event.metadata_id]] += event.duration_ps
            counts[names[event.metadata_id]] += 1
        for name, own in self_times(line, names):
            # The profiler calls an operation of a graph `<name of the node>:<type>`.
            scope, separator, operation = name.rpartition(":")
            if separator and operation.isidentifier() and not scope.endswith(":"):
                operations[operation] += own
    largest = sorted(operations.items(), key=lambda item: -item[1])[:NUM_OPERATIONS]
    return {
        "steps": counts[STEP],
        "step_ms": totals[STEP] / counts[STEP] / 1e9,
        "batch_ms": totals[INPUT] / counts[STEP] / 1e9,
        "input_share": totals[INPUT] / (totals[INPUT] + totals[STEP]),
        "operation_shares": {name: own / sum(operations.values()) for name, own in largest},
    }


def main() -> None:
    """Profiles, stores and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--users", type=int, default=8000, help="training users")
    options = parser.parse_args()
    config = scene_config(options.scene)
    scene = Dataset.from_config(options.data, config.data)
    with tempfile.TemporaryDirectory() as folder:
        found = analyze(host_plane(train(config, scene, options.users, folder)))
    command = [
        *("python", "tests/benchmarks/profile_training.py", "--scene", options.scene),
        *("--data", f"<log>/{Path(options.data).name}", "--users", str(options.users)),
    ]
    stored = {
        **provenance(command, ("tensorflow", "keras", "numpy")),
        "config": {name: config.to_dict()[name] for name in _SETTINGS},
        **found,
    }
    path = RESULTS / f"profile_{options.scene}.json"
    write_result(path, stored)
    print(json.dumps(found, indent=2))
    print(path)


if __name__ == "__main__":
    main()
