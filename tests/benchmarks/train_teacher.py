"""Trains a teacher on a real log, several seeds if asked, and stores what it measured.

    python tests/benchmarks/train_teacher.py --name beauty_sasrec --scene beauty \
        --data interactions.csv.gz --seeds 1 2 3 4 5 --set teacher.name=sasrec ...

writes `tests/benchmarks/results/teacher_<name>.json` and prints a line an epoch. Hyper-parameters
are chosen by the validation figures of runs with `--validation-only`, which store nothing; the
test targets are looked at once, in the run that is stored. `--checkpoints` lets an interrupted run
continue.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tensorflow as tf
from model_tables import teachers
from stored_results import RESULTS, headline, markdown, provenance, spread, write_result

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.teacher import BERT4RecConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.evaluation.baselines import BASELINES
from adarec_tf.evaluation.protocols import CUTOFFS, ScoreBatch, evaluate_full, model_scorer
from adarec_tf.models.model_cost import count_parameters
from adarec_tf.models.teachers import build_teacher
from adarec_tf.models.teachers.bert4rec import BERT4Rec, MaskedItems
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.training.train_teacher import train_teacher
from pipeline.configs import scene_config

_PACKAGES = ("tensorflow", "keras", "numpy")
_SELECTION = "ndcg@10/full"


def evaluate(scorer: ScoreBatch, scene: Dataset, split: str, seen: str) -> dict[str, float]:
    """Full-catalog metrics of one split."""
    return evaluate_full(
        scorer,
        getattr(scene.splits, split),
        num_items=scene.num_items,
        max_length=scene.max_length,
        seen=seen,
        cutoffs=CUTOFFS,
    )


def train(config: PipelineConfig, scene: Dataset, seed: int, checkpoints: str) -> Any:
    """Trains one teacher; returns it with its history."""
    model = build_teacher(config.teacher, scene.num_items, scene.max_length, seed=seed)
    history = train_teacher(
        model,
        scene.train,
        scene.valid,
        config.training,
        seen=scene.seen,
        seed=seed,
        checkpoint_dir=checkpoints,
        windows=config.data.windows,
        compute_dtype=config.compute_dtype,
    )
    return model, history


def best_record(history: list[dict[str, float]]) -> dict[str, float]:
    """The epoch whose weights the model holds."""
    return max(history, key=lambda record: record[MONITOR])


def masked_scorer(model: BERT4Rec) -> ScoreBatch:
    """Scores the item hidden behind a mask at the end of each history."""
    masked = MaskedItems(model)
    return lambda rows, item_ids: masked.predict_on_batch(item_ids)


def measure(
    config: PipelineConfig,
    scene: Dataset,
    seed: int,
    folder: str,
    *,
    with_test: bool,
    save_to: str | None,
) -> dict[str, Any]:
    """One seed's row; of BERT4Rec's two sides, the one that validation prefers."""
    folder = f"{folder}/seed-{seed}"
    sides = []
    if isinstance(config.teacher, BERT4RecConfig):
        # Before the fine-tuning, which then goes on from this training's checkpoint.
        masked = config.replace(teacher=config.teacher.replace(fine_tune_epochs=0))
        trained = train(masked, scene, seed, folder)
        sides.append(("appended mask", trained, masked_scorer(trained[0])))
    if not sides or config.teacher.fine_tune_epochs > 0:
        trained = train(config, scene, seed, folder)
        sides.append(("causal", trained, model_scorer(trained[0])))
    valid = {name: evaluate(scorer, scene, "valid", scene.seen) for name, _, scorer in sides}
    inference, (model, history), scorer = max(sides, key=lambda s: valid[s[0]][_SELECTION])
    row: dict[str, Any] = {
        "seed": seed,
        "parameters": count_parameters(model)._asdict(),
        "inference": inference,
        # Of all epochs, interrupted or not; without validation.
        "train_s": round(sum(record["train_s"] for record in history), 1),
        # Of each, the fastest being nearest to what an idle machine would show.
        "epoch_s": spread([record["train_s"] for record in history]),
        "epochs": len(history),
        "best_epoch": history.index(best_record(history)) + 1,
        "valid": headline(valid[inference]),
        "valid_of_sides": {name: metrics[_SELECTION] for name, metrics in valid.items()},
    }
    if with_test:
        for seen in ("exclude", "keep"):
            row[f"test_seen_{seen}"] = evaluate(scorer, scene, "test", seen)
    print(json.dumps(row), flush=True)
    if save_to:
        model.save(Path(save_to) / f"teacher-{seed}.keras")
    return row


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """A seed's row as it is stored: of its test metrics those at a cut-off of 10."""
    return {
        name: headline(value) if name.startswith("test_") else value for name, value in row.items()
    }


def over_seeds(rows: list[dict[str, Any]], part: str) -> dict[str, dict[str, float | None]]:
    """Mean and sample standard deviation of each metric; one seed has no deviation."""
    values = {metric: [row[part][metric] for row in rows] for metric in rows[0][part]}
    if len(rows) == 1:
        return {metric: {"mean": value, "sd": None} for metric, [value] in values.items()}
    return {
        metric: {"mean": float(np.mean(of_seeds)), "sd": float(np.std(of_seeds, ddof=1))}
        for metric, of_seeds in values.items()
    }


def baselines(scene: Dataset) -> dict[str, Any]:
    """The same test targets, ranked by what needs no training."""
    scorers = {
        name: model.scorer(scene.train, scene.num_items) for name, model in BASELINES.items()
    }
    return {
        name: {
            seen: headline(evaluate(scorer, scene, "test", seen)) for seen in ("exclude", "keep")
        }
        for name, scorer in scorers.items()
    }


def main() -> None:
    """Trains, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--checkpoints", help="a folder that survives an interruption")
    parser.add_argument("--save", help="a folder for the models, teacher-SEED.keras")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--validation-only", action="store_true")
    options = parser.parse_args()
    if options.save:  # before hours of training, not after
        Path(options.save).mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    config = scene_config(options.scene).override(options.settings)
    scene = Dataset.from_config(options.data, config.data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.checkpoints or temporary
        rows = [
            measure(
                config,
                scene,
                seed,
                folder,
                with_test=not options.validation_only,
                save_to=options.save,
            )
            for seed in options.seeds
        ]
    if options.validation_only:
        return
    command = [
        *("python", "tests/benchmarks/train_teacher.py", "--name", options.name),
        *("--scene", options.scene, "--data", f"<log>/{Path(options.data).name}"),
        *("--seeds", *map(str, options.seeds), "--threads", str(options.threads)),
        *(part for setting in options.settings for part in ("--set", setting)),
    ]
    stored = {
        **provenance(command, _PACKAGES),
        "devices": [device.device_type for device in tf.config.list_logical_devices()],
        "scene": config.scene,
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        "teacher": config.teacher.to_dict(),
        "training": config.training.to_dict(),
        "compute_dtype": config.compute_dtype,
        "data": config.data.to_dict(),
        "seen": scene.seen,
        "seeds": [summary(row) for row in rows],
        "over_seeds": {
            part: over_seeds(rows, part)
            for part in ("valid", "test_seen_exclude", "test_seen_keep")
        },
        "baselines": baselines(scene),
    }
    path = RESULTS / f"teacher_{options.name}.json"
    write_result(path, stored)
    print(markdown(teachers(path.stem, stored)))
    print(path)


if __name__ == "__main__":
    main()
