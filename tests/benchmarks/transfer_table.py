"""Is a scene's own student the best there: every scene's genotype trained on every scene.

    python tests/benchmarks/transfer_table.py --name all --scene beauty --data beauty.csv.gz \
        --teachers TEACHERS/beauty --genotypes beauty=A.json ml1m=B.json --checkpoints FOLDER ...
    python tests/benchmarks/transfer_table.py --name all --scene ml1m --data ml1m.csv.gz ...

One call trains all genotypes on one scene, each with every seed, by the recipe of the scene and
`--set`, the same for all genotypes; every scene's command is stored with its row. Finished
trainings are kept in `FOLDER/<scene>`, and a killed call goes on. The call that leaves no scene
open writes `results/transfer_<name>.json` and prints the table.
"""

import argparse
import itertools
import json
import logging
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import tensorflow as tf
from architectures import Rows, train_row, unnamed
from distill_student import read_teacher
from model_tables import transfer as transfer_rows
from stored_results import RESULTS, markdown, provenance, write_result

from adarec_tf.data.dataset import Dataset
from adarec_tf.models.students import Genotype
from pipeline.configs import scene_config

_PACKAGES = ("tensorflow", "keras", "numpy", "pot")


def train_scene(genotypes: dict[str, Genotype], options: argparse.Namespace) -> None:
    """Trains every genotype on one scene, and notes by which recipe."""
    config = scene_config(options.scene).override(options.settings)
    folder = Path(options.checkpoints) / options.scene
    rows = Rows(folder, "all")
    recipe = {
        "student": config.student.to_dict(),
        "distillation": config.distillation.to_dict(),
        "windows": config.data.windows,
        "compute_dtype": config.compute_dtype,
        "users": options.users,
        "genotypes": {name: genotype.to_dict() for name, genotype in genotypes.items()},
    }
    path = folder / "recipe.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    changed = [name for name, value in recipe.items() if stored and stored[name] != value]
    if changed:
        raise ValueError(
            f"{path} should be of the same settings. Received: other {', '.join(changed)}; take "
            "another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"command": shlex.join(scene_command(options)), **recipe}))
    scene = Dataset.from_config(options.data, config.data).take_users(options.users)
    teacher = read_teacher(options.teachers, options.teacher_seeds)
    for (name, genotype), seed in itertools.product(genotypes.items(), options.seeds):

        def train(folder: Path, genotype: Genotype = genotype, seed: int = seed) -> dict[str, Any]:
            return train_row(genotype, teacher, config, scene, seed=seed, checkpoint_dir=folder)

        rows.add(name, seed, train)


def scene_command(options: argparse.Namespace) -> list[str]:
    """What trained one scene's row, as it is stored."""
    files = [pair.split("=", 1) for pair in options.genotypes]
    return [
        *("python", "tests/benchmarks/transfer_table.py", "--name", options.name),
        *("--scene", options.scene, "--data", "<log>", "--teachers", "<teachers>"),
        *("--teacher-seeds", *map(str, options.teacher_seeds), "--genotypes"),
        *(f"{scene}={Path(path).name}" for scene, path in files),
        *("--seeds", *map(str, options.seeds), "--users", str(options.users)),
        *("--threads", str(options.threads), "--checkpoints", "<folder>"),
        *(part for setting in options.settings for part in ("--set", setting)),
    ]


def read_scenes(
    names: list[str], seeds: list[int], folder: Path
) -> dict[str, dict[str, Any]] | None:
    """Of each scene its recipe and the test metrics of every genotype; None if some are open."""
    scenes: dict[str, dict[str, Any]] = {}
    for scene in names:
        done = Rows(folder / scene, "all").read()
        if any((name, seed) not in done for name in names for seed in seeds):
            return None
        recipe = json.loads((folder / scene / "recipe.json").read_text())
        del recipe["genotypes"]  # the same for every scene
        scenes[scene] = {
            **recipe,
            "rows": {name: [unnamed(done[name, seed]) for seed in seeds] for name in names},
        }
    return scenes


def transfer(scenes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each scene the test metric of every genotype, and how its own stands among them."""
    table = {}
    for scene, stored in scenes.items():
        values = {name: [row["test"] for row in rows] for name, rows in stored["rows"].items()}
        means = {name: statistics.fmean(of_seeds) for name, of_seeds in values.items()}
        others = {name: mean for name, mean in means.items() if name != scene}
        best_other = max(others, key=lambda name: others[name])
        table[scene] = {
            "mean": means,
            "sd": {
                name: statistics.stdev(of_seeds) if len(of_seeds) > 1 else None
                for name, of_seeds in values.items()
            },
            "best_other": best_other,
            "own_minus_best_other": means[scene] - others[best_other],
        }
    return table


def differing_edges(genotypes: dict[str, Genotype]) -> dict[str, float]:
    """The share of edges, cell by cell, on which two scenes' genotypes have other operations."""
    shares = {}
    for (one, first), (other, second) in itertools.combinations(genotypes.items(), 2):
        pairs = [
            edges
            for cells in itertools.zip_longest(first.cells, second.cells, fillvalue=())
            for edges in itertools.zip_longest(*cells)
        ]
        shares[f"{one}, {other}"] = statistics.fmean(a != b for a, b in pairs)
    return shares


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True, help="one of those that --genotypes names")
    parser.add_argument("--data", required=True)
    parser.add_argument("--teachers", required=True, help="a folder of teacher-SEED.keras")
    parser.add_argument("--teacher-seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--genotypes", nargs="+", required=True, metavar="SCENE=FILE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--users", type=int, default=0, help="of the scene; 0 takes all")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--checkpoints", required=True, help="a folder that survives")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    return parser.parse_args()


def main() -> None:
    """Trains one scene's row; stores and prints the table when every scene's is there."""
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    files = dict(pair.split("=", 1) for pair in options.genotypes)
    if options.scene not in files or len(files) < 2:
        raise ValueError(
            "--genotypes should name --scene and at least one other scene. "
            f"Received: {', '.join(files)} and --scene {options.scene}."
        )
    genotypes = {scene: Genotype.from_json(Path(path).read_text()) for scene, path in files.items()}
    train_scene(genotypes, options)
    scenes = read_scenes(list(genotypes), options.seeds, Path(options.checkpoints))
    if scenes is None:
        print("Other scenes are left; call this for them as well.")
        return
    table = transfer(scenes)
    stored = {
        **provenance(scene_command(options), _PACKAGES),
        "test ndcg@10/full": table,
        "differing_edges": differing_edges(genotypes),
        "genotypes": {name: genotype.to_dict() for name, genotype in genotypes.items()},
        "scenes": scenes,
    }
    path = RESULTS / f"transfer_{options.name}.json"
    write_result(path, stored)
    print(markdown(transfer_rows(path.stem, stored)))
    print(path)


if __name__ == "__main__":
    main()
