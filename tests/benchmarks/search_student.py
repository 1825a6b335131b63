"""Searches the student of a scene, guided by a trained teacher, and stores genotype and trace.

    python tests/benchmarks/search_student.py --name beauty --scene beauty \
        --data interactions.csv.gz --teacher TEACHERS/teacher-1.keras --set student.hidden_dim=48

Writes `tests/benchmarks/results/genotype_<name>.json` (what `distil_student.py --genotype` takes)
and `tests/benchmarks/results/search_<name>.json`.
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import keras
import tensorflow as tf
from scene_histories import read_scene
from stored_results import RESULTS, provenance, write_result

import adarec_tf.teachers  # noqa: F401  (registers their Keras classes for loading)
from adarec_tf.search.searcher import search_genotype
from pipeline.configs import scene_config

_PACKAGES = ("tensorflow", "keras", "numpy", "pot")


def main() -> None:
    """Searches, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True, help="a Keras file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--checkpoints", help="a folder that survives an interruption")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    config = scene_config(options.scene).override(options.settings)
    scene = read_scene(options.data, config.data)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        result = search_genotype(
            keras.saving.load_model(options.teacher),
            scene.splits.train,
            scene.splits.valid,
            student=config.student,
            search=config.search,
            distillation=config.distillation,
            max_length=scene.max_length,
            seen=scene.seen,
            seed=options.seed,
            checkpoint_dir=options.checkpoints or temporary,
            trace_path=str(Path(temporary) / "search_trace.jsonl"),
        )
    command = [
        *("python", "tests/benchmarks/search_student.py", "--name", options.name),
        *("--scene", options.scene, "--data", f"<log>/{Path(options.data).name}"),
        *("--teacher", f"<teachers>/{Path(options.teacher).name}", "--seed", str(options.seed)),
        *("--threads", str(options.threads)),
        *(part for setting in options.settings for part in ("--set", setting)),
    ]
    stored = {
        **provenance(command, _PACKAGES),
        "scene": config.scene,
        "seed": options.seed,
        "seconds": round(time.monotonic() - start, 1),
        "student": config.student.to_dict(),
        "search": config.search.to_dict(),
        "distillation": config.distillation.to_dict(),
        "candidates": [
            {"genotype": genotype.to_dict(), "valid ndcg@10/full": value}
            for genotype, value in result.candidates
        ],
        "trace": result.trace,
    }
    write_result(RESULTS / f"search_{options.name}.json", stored)
    path = RESULTS / f"genotype_{options.name}.json"
    path.write_text(result.genotype.to_json())
    print(result.genotype.describe())
    print(path)


if __name__ == "__main__":
    main()
