"""What a training step costs where the catalog is large: speed and memory of every stage.

    python tests/benchmarks/large_catalog.py

trains a teacher, searches, and distills a student, each in a process of its own on one thread, in
turns on a catalog of 30,000 items and of a million. Histories are drawn (Zipf): they say nothing of
accuracy, and need not. The epoch that traces the step is not timed.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

STAGES = ("teacher", "search", "distillation")
CATALOGS = (30_000, 1_000_000)
NUM_USERS, MAX_LENGTH, WIDTH, EPOCHS = 5_000, 20, 64, 3


def train_stage(
    stage: str, num_items: int, positions_per_batch: int = 1024, compute_dtype: str = "float32"
) -> dict[str, Any]:
    """One stage, in this process.

    Args:
      stage: one of `STAGES`.
      num_items: of the catalog.
      positions_per_batch: of a step.
      compute_dtype: of the logits.
    """
    import keras
    import tensorflow as tf

    from adarec_tf.config.distillation import DistillationConfig
    from adarec_tf.config.search import SearchConfig
    from adarec_tf.config.student import StudentConfig
    from adarec_tf.config.teacher import SASRecConfig
    from adarec_tf.config.training import TrainingConfig
    from adarec_tf.data.histories.histories import Histories
    from adarec_tf.distillation.distiller import distill_student
    from adarec_tf.export.profile import count_costs
    from adarec_tf.models.students import Genotype, build_student
    from adarec_tf.models.teachers import build_teacher
    from adarec_tf.search.searcher import search_genotype
    from adarec_tf.training.train_teacher import train_teacher

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    draw = np.random.default_rng(0)
    item_ids = (num_items * draw.random(NUM_USERS * MAX_LENGTH) ** 2).astype(np.int64) + 1
    keys = np.arange(NUM_USERS).astype(bytes).astype(object)
    splits = np.arange(NUM_USERS + 1, dtype=np.int64) * MAX_LENGTH
    train = Histories(keys, item_ids, splits, np.zeros(NUM_USERS, np.int64))
    valid = train._replace(targets=item_ids[::MAX_LENGTH]).take(np.arange(64))
    teacher = build_teacher(
        SASRecConfig(hidden_dim=WIDTH, num_blocks=2, feed_forward_dim=256),
        num_items,
        MAX_LENGTH,
        seed=0,
    )
    start = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    common = {"seen": "exclude", "seed": 0, "compute_dtype": compute_dtype}
    batch = {"positions_per_batch": positions_per_batch}
    student = StudentConfig(hidden_dim=WIDTH, num_cells=2, num_nodes=2, precision="int4")
    distillation = DistillationConfig(
        **batch,
        max_epochs=EPOCHS,
        patience=EPOCHS,
        logits_items="sampled",
        kd_weight=0.9,
        hidden_weight=0.0,
        embedding_weight=0.0,
        initial_table="teacher",
    )
    with tempfile.TemporaryDirectory() as folder:
        if stage == "teacher":
            config = TrainingConfig(
                **batch, loss="sampled_softmax", max_epochs=EPOCHS, patience=EPOCHS
            )
            records = train_teacher(teacher, train, valid, config, checkpoint_dir=folder, **common)
        elif stage == "search":
            search = SearchConfig(
                **batch, max_epochs=EPOCHS + 1, warmup_epochs=1, num_evaluations=1
            )
            found = search_genotype(
                teacher,
                train,
                valid,
                costs=count_costs(teacher, student, MAX_LENGTH),
                student=student,
                search=search,
                distillation=distillation,
                max_length=MAX_LENGTH,
                checkpoint_dir=folder,
                **common,
            )
            records = [record for record in found.trace if record.get("alphas_moved")]
        else:
            cells = [["conv_3", "skip", "conv_5"]] * student.num_cells
            model = build_student(
                Genotype.from_primitives(2, cells), student, num_items, MAX_LENGTH, seed=0
            )
            records = distill_student(
                model, teacher, train, valid, distillation, checkpoint_dir=folder, **common
            )
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rates = [record["positions_per_second"] for record in records[1:]]
    return {
        "positions_per_s": round(statistics.median(rates)),
        "seconds": round(time.monotonic() - start, 1),
        "peak_gb": round(after * 1024 / 1e9, 2),
        "before_training_gb": round(before * 1024 / 1e9, 2),
    }


def measured(stage: str, num_items: int) -> dict[str, Any]:
    """One stage, in a process of its own."""
    from stored_results import ROOT

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--child", stage, str(num_items)]
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Trains in turns and stores the summary."""
    if sys.argv[1:2] == ["--child"]:
        return print(json.dumps(train_stage(sys.argv[2], int(sys.argv[3]))))
    from stored_results import RESULTS, provenance, write_result

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS / "large_catalog.json")
    options = parser.parse_args()
    stages: dict[str, Any] = {}
    for stage in STAGES:
        rounds = [{n: measured(stage, n) for n in CATALOGS} for _ in range(options.rounds)]
        stages[stage] = {
            "large / small": round(
                statistics.median(
                    large["positions_per_s"] / small["positions_per_s"]
                    for small, large in (each.values() for each in rounds)
                ),
                3,
            ),
            "catalogs": {str(n): [each[n] for each in rounds] for n in CATALOGS},
        }
        print(stage, json.dumps(stages[stage]), flush=True)
    sizes = {"users": NUM_USERS, "length": MAX_LENGTH, "width": WIDTH}
    made = provenance(
        ["python", "tests/benchmarks/large_catalog.py", "--rounds", str(options.rounds)],
        ["tensorflow", "keras", "numpy"],
    )
    write_result(options.output, {**made, "seed": 0, "data": sizes, "stages": stages})


if __name__ == "__main__":
    main()
