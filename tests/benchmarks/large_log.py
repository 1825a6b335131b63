"""What a teacher's training needs of a log of 200 million interactions: memory, and time to begin.

    python tests/benchmarks/large_log.py

writes histories as the preprocessor does, reads them and trains a SASRec of 64 on them in a process
of its own, which is stopped after some minutes: an epoch takes hours on a CPU, and what it needs
does not grow with its steps. Items are drawn (Zipf): they say nothing of accuracy.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from stored_results import RESULTS, provenance, write_result

_LENGTH, _NUM_ITEMS, _USERS_PER_SHARD = 20, 100_000, 100_000
_SPEED = re.compile(r"speed ([\d.]+)")


def write_log(folder: str, num_interactions: int) -> None:
    """Writes histories of `_LENGTH` items each, split by leave-one-out.

    Args:
      folder: to write to.
      num_interactions: in all.
    """
    from adarec_tf.data.histories.histories import Histories
    from adarec_tf.data.histories.splits import Splits
    from adarec_tf.data.storage.history_files import SPLITS, write_manifest, write_shard

    num_shards = num_interactions // (_LENGTH * _USERS_PER_SHARD)
    for split in SPLITS:
        (Path(folder) / f"Split-{split}").mkdir(parents=True)
    shards = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for number in range(num_shards):
            draw = np.random.default_rng(number).random((_USERS_PER_SHARD, _LENGTH))
            items = (_NUM_ITEMS * draw**2).astype(np.int64) + 1
            first = number * _USERS_PER_SHARD
            keys = np.arange(first, first + _USERS_PER_SHARD).astype(bytes).astype(object)

            def part(length: int, targets: np.ndarray, items=items, keys=keys) -> Histories:  # type: ignore[no-untyped-def]
                splits = np.arange(_USERS_PER_SHARD + 1, dtype=np.int64) * length
                return Histories(keys, items[:, :length].ravel(), splits, targets)

            splits = Splits(
                part(_LENGTH - 2, np.zeros(_USERS_PER_SHARD, np.int64)),
                part(_LENGTH - 2, items[:, -2]),
                part(_LENGTH - 1, items[:, -1]),
            )
            shards += write_shard(folder, number, num_shards, splits, scratch)
    write_manifest(folder, shards)


def child(folder: str) -> None:
    """Reads and trains, and says on the way what was done."""
    import logging

    import tensorflow as tf

    from adarec_tf.config.teacher import SASRecConfig
    from adarec_tf.config.training import TrainingConfig
    from adarec_tf.data.storage.history_files import read_histories
    from adarec_tf.models.teachers import build_teacher
    from adarec_tf.training.train_teacher import train_teacher

    class Speed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if hasattr(record, "speed"):
                print(f"speed {record.speed}", flush=True)

    logging.getLogger("adarec_tf").setLevel(logging.DEBUG)
    logging.getLogger("adarec_tf").addHandler(Speed())
    tf.config.threading.set_intra_op_parallelism_threads(1)
    start = time.monotonic()
    print("imported", flush=True)
    train, valid = read_histories(folder, "train"), read_histories(folder, "valid")
    print(f"read {time.monotonic() - start}", flush=True)
    teacher = build_teacher(SASRecConfig(hidden_dim=64), _NUM_ITEMS, _LENGTH, seed=0)
    config = TrainingConfig(positions_per_batch=1024, loss="sampled_softmax")
    with tempfile.TemporaryDirectory() as scratch:
        train_teacher(teacher, train, valid, config, seen="exclude", seed=0, checkpoint_dir=scratch)


def _memory_gb(pid: int, entry: str) -> float:
    """An entry of a process's status, such as its peak, `VmHWM`."""
    status = Path(f"/proc/{pid}/status").read_text()
    [kilobytes] = re.findall(rf"{entry}:\s+(\d+) kB", status)
    return round(int(kilobytes) * 1024 / 1e9, 2)


def measure(folder: str, seconds: float) -> dict[str, Any]:
    """Trains for some seconds after the first steps.

    Args:
      folder: of the histories.
      seconds: of training.
    """
    words = [sys.executable, __file__, "--child", folder]
    found: dict[str, Any] = {}
    start = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            word, _, value = line.strip().partition(" ")
            if word == "imported":
                start = time.monotonic()
                found["imported_gb"] = _memory_gb(process.pid, "VmHWM")
            elif word == "read":
                found["read_s"] = round(float(value), 1)
                found["read_peak_gb"] = _memory_gb(process.pid, "VmHWM")
            elif word == "speed":
                found["first_steps_s"] = round(time.monotonic() - start, 1)
                found["positions_per_s"] = round(float(value))
                time.sleep(seconds)
                found["peak_gb"] = _memory_gb(process.pid, "VmHWM")
                found["of_files_gb"] = _memory_gb(process.pid, "RssFile")
                process.kill()
        code = process.wait()
    if "peak_gb" not in found:
        raise RuntimeError(f"The training should begin. Received: exit code {code}.")
    return found


def main() -> None:
    """Measures, stores and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interactions", type=int, default=200_000_000)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_log(folder, options.interactions)
        found = measure(folder, options.seconds)
    stored = {
        **provenance(["python", "tests/benchmarks/large_log.py"], ("tensorflow", "numpy")),
        "interactions": options.interactions,
        "items": _NUM_ITEMS,
        "items_per_history": _LENGTH,
        **found,
    }
    write_result(RESULTS / "large_log.json", stored)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
