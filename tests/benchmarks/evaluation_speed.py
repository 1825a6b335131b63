"""How long a full-catalog evaluation takes: of a model, beside its forward pass; of the baselines.

    python tests/benchmarks/evaluation_speed.py --scene ml1m --data interactions.csv.gz

ranks the test target of every user among the whole catalog (`evaluate_full`), and runs the same
model over the same batches without ranking: the encoder, and the logits of the last position. Both
are timed in turn after a warm-up; weights are random, which does not change what is computed. The
three baselines are counted, ranked and listed once. Each scene and teacher has its row in
`tests/benchmarks/results/evaluation_speed.json`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from stored_results import RESULTS, provenance, spread, write_result

from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.evaluation.baselines import BASELINES
from adarec_tf.evaluation.protocols import (
    EvaluationSplit,
    ScoreBatch,
    evaluate_full,
    model_scorer,
    rank_full,
)
from adarec_tf.models.teachers import build_teacher
from pipeline.configs import SCENES

PATH = RESULTS / "evaluation_speed.json"


def forward(scorer: ScoreBatch, scene: Dataset) -> None:
    """Scores every test history and drops the scores."""
    split = EvaluationSplit(scene.test, scene.num_items, scene.max_length, "keep")
    for rows, item_ids, _ in split.batches():
        scorer(rows, item_ids)


def evaluate(scorer: ScoreBatch, scene: Dataset) -> None:
    """Ranks every test target."""
    evaluate_full(
        scorer,
        scene.test,
        num_items=scene.num_items,
        max_length=scene.max_length,
        seen=scene.seen,
    )


def evaluate_baselines(scene: Dataset) -> None:
    """Ranks every test target by each baseline, and lists the first ten items."""
    split = EvaluationSplit(scene.test, scene.num_items, scene.max_length, scene.seen)
    for baseline in BASELINES.values():
        rank_full(baseline.scorer(scene.train, scene.num_items), split, 10)


def seconds_of(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(scene: Dataset, options: argparse.Namespace) -> dict[str, Any]:
    """Times both in turn."""
    kind = TeacherConfig.kind(options.teacher)
    config = kind(name=options.teacher, hidden_dim=options.hidden_dim)
    model = build_teacher(config, scene.num_items, scene.max_length, seed=options.seed)
    scorer = model_scorer(model)
    forward(scorer, scene)
    forward_s, evaluation_s = [], []
    for _ in range(options.rounds):
        forward_s.append(seconds_of(lambda: forward(scorer, scene)))
        evaluation_s.append(seconds_of(lambda: evaluate(scorer, scene)))
    rounds = zip(evaluation_s, forward_s, strict=True)
    return {
        "teacher": config.to_dict(),
        "users": scene.test.num_users,
        "items": scene.num_items,
        "max_length": scene.max_length,
        "seen": scene.seen,
        "forward_s": _rounded(spread(forward_s)),
        "evaluation_s": _rounded(spread(evaluation_s)),
        "ratio": _rounded(spread([evaluation / forward for evaluation, forward in rounds])),
        "baselines_s": round(seconds_of(lambda: evaluate_baselines(scene)), 3),
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def main() -> None:
    """Measures, stores and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scene", choices=sorted(SCENES), required=True)
    parser.add_argument("--data", required=True, help="the scene's log")
    parser.add_argument("--teacher", choices=sorted(TeacherConfig.KINDS), default="sasrec")
    parser.add_argument("--hidden-dim", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    row = measure(Dataset.from_config(options.data, SCENES[options.scene].data), options)
    stored = json.loads(options.output.read_text()) if options.output.exists() else {}
    command = [
        *("python", "tests/benchmarks/evaluation_speed.py", "--scene", options.scene),
        *("--data", "<log>", "--teacher", options.teacher),
        *("--hidden-dim", str(options.hidden_dim), "--rounds", str(options.rounds)),
        *("--seed", str(options.seed)),
    ]
    stored[f"{options.scene} {options.teacher}"] = {
        **provenance(command, ("tensorflow", "keras", "numpy")),
        "load_before": load,
        **row,
    }
    write_result(options.output, stored)
    for name in ("forward_s", "evaluation_s", "ratio"):
        values = row[name]
        print(f"{name}: {values['median']} ({values['min']} to {values['max']})")
    print(f"baselines_s: {row['baselines_s']}")
    print(options.output)


if __name__ == "__main__":
    main()
