"""What matching the layers of student and teacher adds, one factor at a time, over seeds.

    python tests/benchmarks/layer_terms.py --name beauty --data interactions.csv.gz --workdir WORK

Each regime has one teacher, and students of several seeds that learn from it without its layers, by
layers matched at equal steps or by the Earth Mover's Distance, with either ground distance. All
figures are on validation, of the same users. What was trained stays in WORK, from which an
interrupted comparison goes on.

Writes `tests/benchmarks/results/layer_terms_<name>.json` after each regime, and does not repeat the
regimes that are there.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import scipy.stats
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import (
    BERT4RecConfig,
    NextItNetConfig,
    SASRecConfig,
    TeacherConfig,
)
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import sample_users
from adarec_tf.distillation.distiller import train_student
from adarec_tf.models.students import Genotype
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.training.devices import set_threads
from adarec_tf.training.train_teacher import train_teacher

_EDGES = ["conv_3", "skip", "conv_3"]  # of a cell of two nodes
_EPOCHS = 8
_SHOWN_EPOCHS = (1, 2, 4, 8)
_TEACHER_SEED = 1
_VALID_USERS = 10_000

TRAINING = TrainingConfig(
    max_epochs=24,
    patience=5,
    positions_per_batch=128,
    weight_decay=0.05,
    loss="sampled_softmax",
    initial_table="co_occurrences",
)
DISTILLATION = DistillationConfig(
    max_epochs=_EPOCHS,
    patience=_EPOCHS,
    positions_per_batch=256,
    learning_rate=4e-3,
    kd_weight=0.9,
    embedding_weight=0.0,
    logits_items="sampled",
    initial_table="teacher",
)
MAPPINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "uniform": {"hidden_weight": 1.0, "hidden_mapping": "uniform", "ground_distance": "kl"},
    "emd": {"hidden_weight": 1.0, "ground_distance": "kl"},
    "emd, squared error": {"hidden_weight": 1.0, "ground_distance": "mse"},
    "uniform, squared error": {
        "hidden_weight": 1.0,
        "hidden_mapping": "uniform",
        "ground_distance": "mse",
    },
}

_COMPARED = (
    ("emd", "none"),
    ("emd", "uniform"),
    ("emd, squared error", "none"),
    ("emd, squared error", "uniform, squared error"),
)


class Regime(NamedTuple):
    """What differs from the first regime."""

    teacher: TeacherConfig = SASRecConfig(hidden_dim=64, dropout=0.5)
    num_cells: int = 2
    user_share: float = 0.25
    changes: dict[str, Any] = {}  # noqa: RUF012 (never changed)


_DEEP = NextItNetConfig(hidden_dim=64, num_blocks=8, dropout=0.3)
REGIMES: dict[str, Regime] = {
    "two blocks, two cells": Regime(),
    "16 convolutions, two cells": Regime(_DEEP),
    "16 convolutions, four cells": Regime(_DEEP, num_cells=4),
    "eight blocks of attention": Regime(SASRecConfig(hidden_dim=64, num_blocks=8, dropout=0.5)),
    "BERT4Rec teaches": Regime(BERT4RecConfig(hidden_dim=64, dropout=0.3)),
    "a tenth of the users": Regime(user_share=0.1),
    "a quarter of the epochs": Regime(changes={"max_epochs": _EPOCHS // 4}),
    "a table learnt afresh": Regime(changes={"initial_table": "random"}),
    "layers alone, no scores": Regime(changes={"logits_weight": 0.0, "initial_table": "random"}),
    "16 convolutions, four cells, a table learnt afresh": Regime(
        _DEEP, num_cells=4, changes={"initial_table": "random"}
    ),
}


def train_one_teacher(regime: Regime, scene: Dataset, work: Path) -> keras.Model:
    """The teacher of a regime, from its checkpoint if it was trained before."""
    model = build_teacher(regime.teacher, scene.num_items, scene.max_length, seed=_TEACHER_SEED)
    kind = f"{regime.teacher.name}-{regime.teacher.num_blocks}-{regime.user_share}"
    train_teacher(
        model,
        sample_users(scene.train, round(regime.user_share * scene.train.num_users)),
        sample_users(scene.valid, _VALID_USERS),
        TRAINING,
        seen=scene.seen,
        seed=_TEACHER_SEED,
        checkpoint_dir=str(work / "teachers" / kind),
        windows=scene.statistics.windows,
    )
    return model


def train_one(
    regime: Regime, mapping: str, seed: int, teacher: keras.Model, scene: Dataset, folder: Path
) -> list[float]:
    """NDCG@10 on validation after each epoch of a student."""
    config = DISTILLATION.replace(**{**regime.changes, **MAPPINGS[mapping]})
    if mapping == "none" and config.logits_weight == 0:
        config = config.replace(kd_weight=0.0)  # labels alone
    _, history = train_student(
        Genotype.from_primitives(2, [_EDGES] * regime.num_cells),
        StudentConfig(hidden_dim=32, num_cells=regime.num_cells, num_nodes=2, dropout=0.0),
        teacher,
        sample_users(scene.train, round(regime.user_share * scene.train.num_users)),
        sample_users(scene.valid, _VALID_USERS),
        config,
        statistics=scene.statistics,
        seed=seed,
        checkpoint_dir=str(folder),
        windows=scene.statistics.windows,
    )
    return [round(record[MONITOR], 6) for record in history]


def summary(runs: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Means over seeds, and paired tests of the Earth Mover's Distance.

    Args:
      runs: by mapping, a list of epochs for each seed.
    """
    best = {mapping: [max(epochs) for epochs in seeds] for mapping, seeds in runs.items()}
    stored: dict[str, Any] = {
        mapping: {
            "mean": round(float(np.mean(values)), 5),
            "sd": round(float(np.std(values, ddof=1)), 5),
            "after": {
                str(epoch): round(float(np.mean([one[epoch - 1] for one in runs[mapping]])), 5)
                for epoch in _SHOWN_EPOCHS
                if all(len(one) >= epoch for one in runs[mapping])
            },
        }
        for mapping, values in best.items()
    }
    stored["gains"] = [
        {
            "of": mapping,
            "over": other,
            "gain": round(float(np.mean(best[mapping]) / np.mean(best[other]) - 1), 4),
            "p": round(float(scipy.stats.ttest_rel(best[mapping], best[other]).pvalue), 4),
        }
        for mapping, other in _COMPARED
    ]
    return stored


def main() -> None:
    """Trains what is not there yet, and stores the summary of complete regimes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options = parser.parse_args()
    set_threads()
    scene = Dataset.from_config(options.data, DataConfig())
    command = ["python", "tests/benchmarks/layer_terms.py", "--name", options.name]
    command += ["--data", f"<log>/{Path(options.data).name}", "--workdir", "<work>"]
    settings = {"seeds": options.seeds, "epochs": _EPOCHS}
    path = RESULTS / f"layer_terms_{options.name}.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    is_same = earlier and {name: earlier[name] for name in settings} == settings
    regimes: dict[str, Any] = earlier["regimes"] if is_same else {}
    for number, (name, regime) in enumerate(REGIMES.items()):
        if name in regimes:
            continue
        teacher = train_one_teacher(regime, scene, options.workdir)
        teacher.compile(seen=scene.seen)
        valid = sample_users(scene.valid, _VALID_USERS)
        own = teacher.evaluate(valid, return_dict=True, verbose=0)["ndcg@10"]
        runs: dict[str, list[list[float]]] = {mapping: [] for mapping in MAPPINGS}
        for seed in options.seeds:
            for place, mapping in enumerate(MAPPINGS):
                folder = options.workdir / f"{number}-{place}-{seed}"
                kept = folder.with_suffix(".json")
                if not kept.exists():
                    epochs = train_one(regime, mapping, seed, teacher, scene, folder)
                    kept.write_text(json.dumps(epochs))
                    shutil.rmtree(folder)
                runs[mapping].append(json.loads(kept.read_text()))
        regimes[name] = {"teacher": round(float(own), 5), **summary(runs)}
        print(name, json.dumps(regimes[name]), flush=True)
        found = provenance(command, ("tensorflow", "keras", "pot", "scipy"))
        write_result(path, {**found, **settings, "regimes": regimes})


if __name__ == "__main__":
    main()
