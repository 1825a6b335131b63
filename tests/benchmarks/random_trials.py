"""Random search in place of a recipe's trials: as many of them, as long, of the same settings.

    python tests/benchmarks/random_trials.py --name beauty --data interactions.csv.gz

draws teachers at random from what a recipe chooses among, and halves them as a recipe's candidates
are. The run of `scene_<name>_standard.json` says what these were; its figures and those of the
draws are on validation, with the same users and the same seed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.data import DataConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.recipe import Decision
from adarec_tf.data.dataset import Dataset
from adarec_tf.training.devices import set_threads
from adarec_tf.tuning.candidates import DROPOUTS, CandidateTrainer, trial_users
from adarec_tf.tuning.priors import teacher_decisions
from adarec_tf.tuning.scene_profile import profile_scene
from adarec_tf.tuning.trials import Candidate, halving_rungs, run_trials
from pipeline.scene_data import locate_data

_NUM_CANDIDATES, _NUM_PROCESSES = 5, 2
_SEED = 1  # of the trials: that of a run


def draw(decisions: Sequence[Decision], number: int, seed: int) -> list[Candidate]:
    """Teachers, each with every setting drawn for itself.

    Args:
      decisions: what the profile says, of which the size of a batch is taken.
      number: of teachers, which differ.
      seed: of the draw.
    """
    [batch] = [one.value for one in decisions if one.setting == "training.positions_per_batch"]
    space: dict[str, list[Any]] = {
        "teacher.name": ["sasrec", "nextitnet"],
        "teacher.hidden_dim": [64, 128],
        "teacher.num_blocks": [1, 2, 3, 4],
        "teacher.dropout": [*DROPOUTS],
        "training.positions_per_batch": [max(64, batch // 2), batch, 2 * batch],
    }
    random = np.random.default_rng(seed)
    drawn: dict[str, Candidate] = {}
    while len(drawn) < number:
        changes = {name: values[random.integers(len(values))] for name, values in space.items()}
        name = ", ".join(f"{setting}={value}" for setting, value in changes.items())
        drawn[name] = Candidate(name, changes)
    return [*drawn.values()]


def measure(scene: Dataset, seed: int, directory: str) -> list[dict[str, Any]]:
    """All trials of a random search.

    Args:
      scene: a log.
      seed: of the draw.
      directory: an empty folder.
    """
    given, profile = PipelineConfig(scene="log"), profile_scene(scene.train, scene.statistics)
    decisions = teacher_decisions(profile, "standard")
    candidates = draw(decisions, _NUM_CANDIDATES, seed)
    [epochs] = [one.value for one in decisions if one.setting == "training.max_epochs"]
    trainer = CandidateTrainer(
        candidates=candidates,
        decisions=decisions,
        teacher=given.teacher,
        training=given.training,
        scene=profile,
        train=trial_users(scene.train, _SEED),
        valid=scene.valid,
        statistics=scene.statistics,
        seed=_SEED,
        compute_dtype="float32",
        checkpoint_dir=directory,
        num_workers=1,
    )
    _, trials = run_trials(
        candidates,
        halving_rungs(len(candidates), epochs),
        trainer,
        directory=directory,
        seed=_SEED,
        margin=1.0,
        num_processes=_NUM_PROCESSES,
    )
    return [trial.to_dict() for trial in trials]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of a scene")
    parser.add_argument("--data", type=Path, help="its log, where it is not generated")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the draws")
    options = parser.parse_args()
    set_threads()
    with tempfile.TemporaryDirectory() as folder:
        log = locate_data(options.name, options.data, Path(folder) / "log")
        scene = Dataset.from_config(log, DataConfig())
        start = time.monotonic()
        searches = [
            {"seed": seed, "trials": measure(scene, seed, str(Path(folder) / str(seed)))}
            for seed in options.seeds
        ]
    command = [
        *("python", "tests/benchmarks/random_trials.py", "--name", options.name),
        *(["--data", f"<log>/{options.data.name}"] if options.data else []),
        *("--seeds", *map(str, options.seeds)),
    ]
    stored = {
        **provenance(command, ("tensorflow", "keras", "keras-tuner")),
        "wall_s": round(time.monotonic() - start, 1),
        "searches": searches,
    }
    write_result(RESULTS / f"random_trials_{options.name}.json", stored)
    for search in searches:
        print(search["seed"], *search["trials"], sep="\n")


if __name__ == "__main__":
    main()
