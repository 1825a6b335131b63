"""One process of searches on the toy scene: alone, with two devices, or one of several workers.

    PYTHONPATH=. python tests/adarec_tf/search_on_devices.py {one,two} <folder> <name>

`one` and `two` are as in `train_on_devices.py`. Writes `<folder>/<name>.json`: what the search
found in each case, and in one of them again, where it only continues from its checkpoint.
"""

import json
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf
import walk_scene
from train_on_devices import two_devices

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.export.profile import count_costs
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.searcher import search_genotype
from adarec_tf.training import fit
from adarec_tf.training.devices import choose_strategy

fit.CLIP_NORM = 0.3
MAX_MACS = 5 * 8 * 8 * walk_scene.MAX_LENGTH  # one convolution of five taps
# Each with a ground distance of its own, masses that move, and clipping in most steps.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "budget": ({"max_macs": MAX_MACS}, {"ground_distance": "kl"}, {}),
    "no cache": ({}, {"ground_distance": "mse"}, {"max_cache_bytes": 0}),
}
CONTINUED = "budget"


def search(case: str, strategy: tf.distribute.Strategy, folder: Path, name: str) -> dict[str, Any]:
    search_changes, distillation_changes, options = CASES[case]
    scene = walk_scene.histories()
    teacher = build_teacher(
        NextItNetConfig(hidden_dim=8, num_blocks=2, dropout=0.0),
        walk_scene.NUM_ITEMS,
        walk_scene.MAX_LENGTH,
        seed=1,
    )
    student = StudentConfig(hidden_dim=8, num_cells=1, num_nodes=2, dropout=0.0)
    result = search_genotype(
        teacher,
        scene["train"],
        scene["valid"],
        costs=count_costs(teacher, student, walk_scene.MAX_LENGTH),
        student=student,
        search=SearchConfig(
            max_epochs=2,
            warmup_epochs=1,
            positions_per_batch=128,
            **search_changes,
        ),
        distillation=DistillationConfig(hidden_weight=1.0, **distillation_changes),
        max_length=walk_scene.MAX_LENGTH,
        seen="exclude",
        seed=5,
        checkpoint_dir=str(folder / case / "checkpoint"),
        log_dir=str(folder / case / "log" / name),
        strategy=strategy,
        **options,
    )
    return {
        "genotype": result.genotype.to_dict(),
        "trace": result.trace,
        "weights": [v.numpy().ravel().tolist() for v in result.student.trainable_variables],
    }


def main(devices: str, folder: Path, name: str) -> None:
    strategy = two_devices() if devices == "two" else choose_strategy()
    found = {case: search(case, strategy, folder, name) for case in CASES}
    found["continued"] = search(CONTINUED, strategy, folder, name)
    (folder / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
