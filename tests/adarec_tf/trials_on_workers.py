"""A worker of a cluster that tries candidates, with figures made up in place of trainings.

    PYTHONPATH=. python tests/adarec_tf/trials_on_workers.py one <folder> <name>

Writes `<folder>/<name>.json`: what it trained, and what was chosen. KerasTuner's files of a worker
are in `<folder>/<name>`; it goes on with those that are there.
"""

import functools
import json
import sys
from pathlib import Path

from adarec_tf.training.devices import choose_strategy
from adarec_tf.tuning.trials import Candidate, halving_rungs, run_trials
from adarec_tf.tuning.worker_trials import run_together

CANDIDATES = [Candidate(name, {}) for name in ("profile", "a", "b", "c")]
RUNGS = halving_rungs(len(CANDIDATES), 24)
FIGURES = [0.2, 0.3, 0.5, 0.4]
LOST = 3


def trial_run(folder: Path) -> functools.partial:
    return functools.partial(
        run_trials, CANDIDATES, RUNGS, directory=str(folder), seed=1, margin=1.01
    )


def main(folder: Path, name: str) -> None:
    strategy = choose_strategy()
    calls = []

    def train(candidate: int, epochs: int) -> float:
        calls.append((candidate, epochs))
        if candidate == LOST:
            raise ValueError("lost")
        return FIGURES[candidate]

    with strategy.scope():
        best, trials = run_together(trial_run(folder / name), train, strategy)
    found = {"calls": calls, "best": best, "num_trials": len(trials)}
    (folder / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[2]), sys.argv[3])
