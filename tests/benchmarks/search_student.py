"""Searches the student of a scene, guided by a trained teacher, and stores what it found.

    python tests/benchmarks/search_student.py --name beauty --scene beauty \
        --data interactions.csv.gz --teacher TEACHERS/teacher-1.keras --set student.hidden_dim=48

Writes `tests/benchmarks/results/genotype_<name>.json` (what `distill_student.py --genotype` takes)
and `tests/benchmarks/results/search_<name>.json`. With `--score PLAN`, of
`compare_architectures.py`, the supernet also ranks the architectures of the plan; with the same
`--checkpoints` a finished search is not run again for it.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from stored_results import RESULTS, provenance, write_result

import adarec_tf.models.teachers  # noqa: F401  (registers their Keras classes for loading)
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.export.profile import find_costs
from adarec_tf.models.students import Genotype
from adarec_tf.search.searcher import SearchResult, search_genotype
from adarec_tf.search.selection.discretization import mean_of_drawn
from adarec_tf.search.space.alphas import ArchitectureLogits, derive_genotype
from pipeline.configs import scene_config

_PACKAGES = ("tensorflow", "keras", "numpy", "pot")
_NUM_DRAWN = 20
_LAST_EPOCH = (
    *("task", "embedding_kd", "hidden_kd", "logits_kd", "alpha_task", "cost", "overrun"),
    *("ndcg@10/full", "entropy"),
)


def discretization(result: SearchResult, student: StudentConfig) -> dict[str, float]:
    """What is lost by taking the likeliest operations in place of what the alphas draw.

    Both with the supernet's weights, on validation; the gap is a share of the drawn ones' mean.
    """
    last = result.trace[-1]
    logits = ArchitectureLogits(np.array(last["alphas"]), _absences(last))
    validate = result.validation.validate
    drawn = mean_of_drawn(logits, validate, student=student, num_drawn=_NUM_DRAWN, seed=0)
    likeliest = validate(
        derive_genotype(logits, num_nodes=student.num_nodes, num_cells=student.num_cells)
    )
    return {"drawn": drawn, "likeliest": likeliest, "gap": 1.0 - likeliest / drawn}


def _absences(record: dict[str, Any]) -> np.ndarray:
    """The logits of leaving cells out, the fewest first; one where the depth is not searched."""
    shares = list(record.get("depths", {"all": 1.0}).values())
    return np.log(shares[::-1])


def summary(trace: list[dict[str, Any]]) -> dict[str, Any]:
    """How many epochs a search had, and where it was in the last of them."""
    last = trace[-1]
    return {
        "epochs": len(trace),
        "epochs_with_alphas": sum(bool(record.get("alphas_moved")) for record in trace),
        "last_epoch": {name: last[name] for name in _LAST_EPOCH if name in last},
        "likeliest": last["genotype"],
        "likeliest_cost": last["genotype_cost"],
        "num_validated": last["selection"]["num_validated"],
    }


def scores(result: SearchResult, plan: str) -> list[dict[str, Any]]:
    """The supernet's validation of every architecture of a plan."""
    genotypes = [entry["genotype"] for entry in json.loads(Path(plan).read_text())["architectures"]]
    return [
        {
            "genotype": genotype,
            "valid ndcg@10/full": result.validation.validate(Genotype.from_dict(genotype)),
        }
        for genotype in genotypes
    ]


def first_seconds(checkpoints: str | None, seconds: float) -> float:
    """What the search took in the call that finished it; later ones only choose and score again."""
    if checkpoints is None:
        return seconds
    path = Path(checkpoints) / "seconds.json"
    if not path.exists():
        path.write_text(json.dumps(seconds))
    return json.loads(path.read_text())


def main() -> None:
    """Searches, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True, help="a Keras file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--users", type=int, default=0, help="of the scene; 0 takes all")
    parser.add_argument("--score", help="plan.json of compare_architectures.py")
    parser.add_argument("--checkpoints", help="a folder that survives an interruption")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    config = scene_config(options.scene).override(options.settings)
    scene = Dataset.from_config(options.data, config.data).take_users(options.users)
    start = time.monotonic()
    teacher = keras.saving.load_model(options.teacher)
    with tempfile.TemporaryDirectory() as temporary:
        result = search_genotype(
            teacher,
            scene.train,
            scene.valid,
            costs=find_costs(
                teacher,
                config.student,
                config.search,
                max_length=scene.max_length,
                kept_dir=options.checkpoints or temporary,
            ),
            student=config.student,
            search=config.search,
            distillation=config.distillation,
            max_length=scene.max_length,
            seen=scene.seen,
            seed=options.seed,
            checkpoint_dir=options.checkpoints or temporary,
            compute_dtype=config.compute_dtype,
        )
    seconds = first_seconds(options.checkpoints, round(time.monotonic() - start, 1))
    command = [
        *("python", "tests/benchmarks/search_student.py", "--name", options.name),
        *("--scene", options.scene, "--data", f"<log>/{Path(options.data).name}"),
        *("--teacher", f"<teachers>/{Path(options.teacher).name}", "--seed", str(options.seed)),
        *("--users", str(options.users), "--threads", str(options.threads)),
        *(part for setting in options.settings for part in ("--set", setting)),
        *(("--score", "<folder>/plan.json") if options.score else ()),
    ]
    stored = {
        **provenance(command, _PACKAGES),
        "scene": config.scene,
        "seed": options.seed,
        "seconds": seconds,
        "student": config.student.to_dict(),
        "search": config.search.to_dict(),
        "distillation": config.distillation.to_dict(),
        "compute_dtype": config.compute_dtype,
        **summary(result.trace),
        "discretization": discretization(result, config.student),
        "candidates": {"valid ndcg@10/full": [value for _, value in result.candidates]},
        "scored": scores(result, options.score) if options.score else [],
    }
    write_result(RESULTS / f"search_{options.name}.json", stored)
    path = RESULTS / f"genotype_{options.name}.json"
    write_result(path, result.genotype.to_dict())
    print(result.genotype.describe())
    print(path)


if __name__ == "__main__":
    main()
