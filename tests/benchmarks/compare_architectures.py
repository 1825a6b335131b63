"""Is the searched student better than chance: random architectures of its latency, trained alike.

    python tests/benchmarks/compare_architectures.py --name beauty --scene beauty \
        --data interactions.csv.gz --teachers TEACHERS --teacher-seeds 1 \
        --genotype genotype_beauty.json --checkpoints FOLDER --set distillation.max_epochs=10 ...

Draws architectures of the frame of the scene's `student` settings and of its `search.alphas` whose
encoder, in the form that is served, takes as long as that of the (first) searched genotype, within
`--band`. Trains each of them once, and with every one of `--seeds` the searched genotypes and a
hand-made one: a stack of dilated convolutions as in NextItNet, as deep as comes nearest to the
searched one's latency.

What is compared is written to `FOLDER/plan.json`, a finished training to `FOLDER/rows-*.jsonl`: a
run that was killed goes on, and a second process takes half of the work with `--shard 1/2` once the
plan of `--shard 0/2` is there. When every row is there, `results/architectures_<name>.json` is
written. The ranks of the supernet that `search_student.py --score FOLDER/plan.json` stores are
compared with those of the trainings if `--supernet` names its result; run again to add it.
"""

import argparse
import json
import logging
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import tensorflow as tf
from architectures import (
    Rows,
    hand_made_genotypes,
    latency_ratio,
    random_genotypes,
    served_encoder,
    train_row,
    unnamed,
)
from distill_student import read_result, read_teacher
from model_tables import architectures
from scipy.stats import kendalltau
from stored_results import RESULTS, markdown, provenance, write_result

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.models.students import Genotype
from pipeline.configs import scene_config

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pot")
# Drawn for each architecture that is wanted, before the band is called empty.
_MAX_TIMED = 100
HAND_MADE = "hand-made"


def make_plan(
    searched: dict[str, Genotype],
    config: PipelineConfig,
    scene: Dataset,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """What is trained: name, kind, genotype, latency in units of the searched one's, seeds."""
    reference = served_encoder(next(iter(searched.values())), config.student, scene)

    def entry(kind: str, name: str, genotype: Genotype, seeds: list[int]) -> dict[str, Any]:
        ratio = latency_ratio(served_encoder(genotype, config.student, scene), reference)
        return {
            "name": name,
            "kind": kind,
            "latency_ratio": ratio,
            "seeds": seeds,
            "genotype": genotype.to_dict(),
        }

    plan = [entry("searched", name, found, options.seeds) for name, found in searched.items()]
    hand_made = [
        entry(HAND_MADE, HAND_MADE, genotype, options.seeds)
        for genotype in hand_made_genotypes(config.student)
    ]
    plan.append(min(hand_made, key=lambda made: abs(made["latency_ratio"] - 1.0)))
    taken: list[dict[str, Any]] = []
    drawn = random_genotypes(config.student, config.search, options.draw_seed)
    for number, genotype in enumerate(drawn):
        if len(taken) == options.num_random or number == _MAX_TIMED * options.num_random:
            break
        candidate = entry("random", f"random-{len(taken) + 1:02d}", genotype, options.seeds[:1])
        if abs(candidate["latency_ratio"] - 1.0) <= options.band:
            taken.append(candidate)
            print(f"{candidate['name']} of {number + 1} drawn", flush=True)
    if len(taken) < options.num_random:
        raise ValueError(
            f"There should be {options.num_random} architectures within {options.band:.0%} of the "
            f"searched one's latency. Received: {len(taken)}; widen --band or lower --num-random."
        )
    return [*plan, *taken]


def read_plan(
    path: Path,
    searched: dict[str, Genotype],
    config: PipelineConfig,
    scene: Dataset,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """The plan of these settings, made by the first process that needs it."""
    identity = {
        "scene": config.scene,
        "student": config.student.to_dict(),
        "alphas": config.search.alphas,
        "distillation": config.distillation.to_dict(),
        "windows": config.data.windows,
        "compute_dtype": config.compute_dtype,
        "searched": {name: genotype.to_dict() for name, genotype in searched.items()},
        "users": options.users,
        "seeds": options.seeds,
        "num_random": options.num_random,
        "band": options.band,
        "draw_seed": options.draw_seed,
    }
    if not path.exists():
        if not options.shard.startswith("0/"):
            raise ValueError(f"{path} should be there. Received: none yet; start shard 0 first.")
        path.parent.mkdir(parents=True, exist_ok=True)
        plan = make_plan(searched, config, scene, options)
        path.with_suffix(".part").write_text(json.dumps({**identity, "architectures": plan}))
        path.with_suffix(".part").rename(path)
    stored = json.loads(path.read_text())
    changed = [name for name, value in identity.items() if stored[name] != value]
    if changed:
        raise ValueError(
            f"{path} should be of the same settings. Received: other {', '.join(changed)}; take "
            "another folder."
        )
    return stored["architectures"]


def judge(plan: list[dict[str, Any]]) -> dict[str, Any]:
    """Where the searched students stand among random ones, and beside the hand-made one."""
    found: dict[str, Any] = {}
    for part in ("valid", "test"):
        means = {entry["name"]: _mean(entry, part) for entry in plan}
        chance = [means[entry["name"]] for entry in plan if entry["kind"] == "random"]
        median, sd = statistics.median(chance), statistics.stdev(chance)
        found[part] = {
            "random": {"median": median, "sd": sd, "min": min(chance), "max": max(chance)},
            HAND_MADE: means[HAND_MADE],
            "searched": {
                entry["name"]: {
                    "mean": means[entry["name"]],
                    # Untrained students are all alike.
                    "margin_in_sd": (means[entry["name"]] - median) / sd if sd > 0 else None,
                    "beats_share": sum(means[entry["name"]] > v for v in chance) / len(chance),
                    "minus_hand_made": means[entry["name"]] - means[HAND_MADE],
                }
                for entry in plan
                if entry["kind"] == "searched"
            },
        }
    return found


def _mean(entry: dict[str, Any], part: str) -> float:
    return statistics.fmean(row[part] for row in entry["rows"])


def rank_agreement(plan: list[dict[str, Any]], supernet: dict[str, Any]) -> dict[str, Any]:
    """Kendall's tau between the supernet's validation and the trainings of random students."""
    scores = {
        json.dumps(score["genotype"]): score["valid ndcg@10/full"] for score in supernet["scored"]
    }
    chance = [entry for entry in plan if entry["kind"] == "random"]
    missing = [entry["name"] for entry in chance if json.dumps(entry["genotype"]) not in scores]
    if missing:
        raise ValueError(
            f"The supernet should have scored every architecture. Received: no {missing}; run "
            "search_student.py with --score and this plan."
        )
    of_supernet = [scores[json.dumps(entry["genotype"])] for entry in chance]
    found: dict[str, Any] = {"supernet": of_supernet}
    for part in ("valid", "test"):
        tau = kendalltau(of_supernet, [_mean(entry, part) for entry in chance])
        found[f"tau_{part}"] = {"tau": float(tau.statistic), "p_value": float(tau.pvalue)}
    return {**found, "discretization": supernet["discretization"]}


def train_shard(
    plan: list[dict[str, Any]],
    rows: Rows,
    config: PipelineConfig,
    scene: Dataset,
    options: argparse.Namespace,
) -> None:
    """Trains this process's share of what has no row yet."""
    shard, num_shards = map(int, options.shard.split("/"))
    jobs = [(entry, seed) for entry in plan for seed in entry["seeds"]][shard::num_shards]
    done = rows.read()
    if all((entry["name"], seed) in done for entry, seed in jobs):
        return
    teacher = read_teacher(options.teachers, options.teacher_seeds)
    for entry, seed in jobs:
        genotype = Genotype.from_dict(entry["genotype"])

        def train(folder: Path, genotype: Genotype = genotype, seed: int = seed) -> dict[str, Any]:
            return train_row(genotype, teacher, config, scene, seed=seed, checkpoint_dir=folder)

        rows.add(entry["name"], seed, train)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--teachers", required=True, help="a folder of teacher-SEED.keras")
    parser.add_argument("--teacher-seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--genotype", nargs="+", required=True, help="JSON files of searches")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--num-random", type=int, default=20)
    parser.add_argument("--draw-seed", type=int, default=1, help="of the random architectures")
    parser.add_argument("--band", type=float, default=0.15, help="around the searched latency")
    parser.add_argument("--users", type=int, default=0, help="of the scene; 0 takes all")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--checkpoints", required=True, help="a folder that survives")
    parser.add_argument("--shard", default="0/1", help="this process's share of the work")
    parser.add_argument("--supernet", help="name of a stored search that scored the plan")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    return parser.parse_args()


def main() -> None:
    """Plans, trains what is missing, and stores the comparison when all is there."""
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    config = scene_config(options.scene).override(options.settings)
    scene = Dataset.from_config(options.data, config.data).take_users(options.users)
    folder = Path(options.checkpoints)
    searched = {
        Path(path).stem: Genotype.from_json(Path(path).read_text()) for path in options.genotype
    }
    plan = read_plan(folder / "plan.json", searched, config, scene, options)
    rows = Rows(folder, options.shard.replace("/", "-of-"))
    train_shard(plan, rows, config, scene, options)
    done = rows.read()
    missing = [e["name"] for e in plan for seed in e["seeds"] if (e["name"], seed) not in done]
    if missing:
        print(f"Left to other processes: {', '.join(missing)}")
        return
    for entry in plan:
        entry["rows"] = [unnamed(done[entry["name"], seed]) for seed in entry["seeds"]]
    command = [
        *("python", "tests/benchmarks/compare_architectures.py", "--name", options.name),
        *("--scene", options.scene, "--data", f"<log>/{Path(options.data).name}"),
        *("--teachers", "<teachers>", "--teacher-seeds", *map(str, options.teacher_seeds)),
        *("--genotype", *(Path(path).name for path in options.genotype)),
        *("--seeds", *map(str, options.seeds), "--num-random", str(options.num_random)),
        *("--draw-seed", str(options.draw_seed), "--band", str(options.band)),
        *("--users", str(options.users), "--threads", str(options.threads)),
        *(part for setting in options.settings for part in ("--set", setting)),
        *(("--supernet", options.supernet) if options.supernet else ()),
        *("--checkpoints", "<folder>"),
    ]
    stored = {
        **provenance(command, _PACKAGES),
        "scene": config.scene,
        "users": scene.train.num_users,
        "seen": scene.seen,
        "student": config.student.to_dict(),
        "distillation": config.distillation.to_dict(),
        "windows": config.data.windows,
        "compute_dtype": config.compute_dtype,
        "ndcg@10/full": judge(plan),
        "supernet": options.supernet and rank_agreement(plan, read_result(options.supernet)),
        "architectures": plan,
    }
    path = RESULTS / f"architectures_{options.name}.json"
    write_result(path, stored)
    print(markdown(architectures(path.stem, stored)))
    print(path)


if __name__ == "__main__":
    main()
