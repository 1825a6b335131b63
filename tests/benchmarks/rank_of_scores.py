"""What a teacher's scores are worth at a lower rank: what a narrow item table can hold of them.

    python tests/benchmarks/rank_of_scores.py --name beauty --scene beauty \
        --data interactions.csv.gz --teacher TEACHERS/teacher-1.keras

Scores are states times items, so a student of width k has scores of rank k. The closest ones to the
teacher's (least squares over the validation histories, truncated singular values) are evaluated on
the validation targets. A student may do better: it need not be close, only rank alike.

Writes `tests/benchmarks/results/rank_<name>.json`.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from stored_results import RESULTS, provenance, write_result
from train_teacher import evaluate

import adarec_tf.models.teachers  # noqa: F401  (registers their Keras classes for loading)
from adarec_tf.data.batches import target_batches
from adarec_tf.data.dataset import Dataset
from pipeline.configs import scene_config

_RANKS = (8, 16, 24, 32, 48, 64)


def main() -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True, help="a Keras file")
    options = parser.parse_args()
    scene = Dataset.from_config(options.data, scene_config(options.scene).data)
    teacher = keras.saving.load_model(options.teacher)
    items = teacher.sequence_embedding.item_vectors().numpy().astype(np.float64)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def last_states(item_ids: tf.Tensor) -> tf.Tensor:
        return teacher(item_ids, training=False).final_states[:, -1]

    batches = target_batches(scene.valid, max_length=scene.max_length, positions_per_batch=8192)
    states = np.concatenate([last_states(tf.constant(ids)).numpy() for _, ids in batches])
    # With states = Q R, the singular values of states x items are those of R x items.
    triangle = np.linalg.qr(states.astype(np.float64), mode="r")
    left, lengths, right = np.linalg.svd(triangle @ items.T, full_matrices=False)
    rows = {}
    for rank in (rank for rank in _RANKS if rank <= items.shape[1]):
        scores = np.linalg.solve(triangle, left[:, :rank] * lengths[:rank]) @ right[:rank]
        scores = scores.astype(np.float32)
        metrics = evaluate(
            lambda _, ids, scores=scores: last_states(tf.constant(ids)).numpy() @ scores,
            scene,
            "valid",
            scene.seen,
        )
        rows[rank] = {name: metrics[name] for name in ("hit_rate@10/full", "ndcg@10/full")}
        print(rank, rows[rank], flush=True)
    command = [
        *("python", "tests/benchmarks/rank_of_scores.py", "--name", options.name),
        *("--scene", options.scene, "--data", f"<log>/{Path(options.data).name}"),
        *("--teacher", f"<teachers>/{Path(options.teacher).name}"),
    ]
    stored = {
        **provenance(command, ("tensorflow", "keras", "numpy")),
        "scene": options.scene,
        "seen": scene.seen,
        "targets": "valid",
        "ranks": rows,
    }
    path = RESULTS / f"rank_{options.name}.json"
    write_result(path, stored)
    print(path)


if __name__ == "__main__":
    main()
