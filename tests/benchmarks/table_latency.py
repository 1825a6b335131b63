"""Latency of students whose item tables differ in their format alone, and of their teacher.

    python tests/benchmarks/table_latency.py

One request with one history of 50 items, the best 10, seen items excluded, run by a session as
servers do it. Untrained models of width 64: the student that the search found for nowplaying, with
a table in each format, and a SASRec of two blocks. All have their turns in one process, so that
ratios are of the same machine: a block of requests each, as by a server that has no other model,
and one request each, which finds its caches full of the others' weights.

Writes `tests/benchmarks/results/table_latency.json`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
from serving_latency import disturb_vectors
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.bundle import bundle_bytes, write_bundle
from adarec_tf.export.signatures import SIGNATURE
from adarec_tf.export.tf_session import SessionFunction, TfSession
from adarec_tf.export.warm_up import request_arrays
from adarec_tf.models.students import build_student
from adarec_tf.models.students.genotype import read_genotype
from adarec_tf.models.teachers import build_teacher

MAX_LENGTH, K, HIDDEN_DIM = 50, 10, 64
NUM_REQUESTS = 50
NUM_WARMUP_CALLS = 3  # of a block
CATALOGS = (12_101, 36_968, 60_416)


def main() -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="of 20 requests each")
    options = parser.parse_args()
    rows = {
        f"{name}_{num_items}": row
        for num_items in CATALOGS
        for name, row in measure_catalog(num_items, options.rounds).items()
    }
    command = f"python tests/benchmarks/table_latency.py --rounds {options.rounds}"
    stored = {
        **provenance(command.split(), ("tensorflow", "keras", "numpy")),
        "request": {"histories": 1, "items": MAX_LENGTH, "k": K, "exclude_seen": True},
        "models": rows,
    }
    for name, row in rows.items():
        print(name, row)
    write_result(RESULTS / "table_latency.json", stored)


def build_models(num_items: int) -> dict[str, keras.Model]:
    """Untrained models by name."""
    genotype = read_genotype(str(RESULTS / "genotype_nowplaying.json"))
    models = {
        f"student_{precision}": build_student(
            genotype,
            StudentConfig(hidden_dim=HIDDEN_DIM, num_nodes=2, precision=precision),
            num_items,
            MAX_LENGTH,
            seed=1,
        )
        for precision in StudentConfig.choices("precision")
    }
    teacher = SASRecConfig(num_blocks=2, hidden_dim=HIDDEN_DIM)
    models["teacher"] = build_teacher(teacher, num_items, MAX_LENGTH, seed=1)
    for model in models.values():
        disturb_vectors(model)
    return models


def measure_catalog(num_items: int, rounds: int) -> dict[str, dict[str, float]]:
    """Bytes and milliseconds of every model over one catalog."""
    vocabulary = ItemVocabulary(tuple(f"item-{number}" for number in range(num_items)))
    rows, asked = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in build_models(num_items).items():
            bundle = f"{folder}/{name}"
            write_bundle(
                model,
                vocabulary,
                bundle,
                max_length=MAX_LENGTH,
                seen="exclude",
                genotype_json=None,
                manifest={},
                warmup_histories=[],
            )
            start = time.perf_counter()
            asked[name] = TfSession().load(bundle)[SIGNATURE]
            load_s = time.perf_counter() - start
            rows[name] = {"bundle_bytes": float(bundle_bytes(bundle)), "load_s": load_s}
    generator = np.random.default_rng(1)
    requests = [
        request_arrays(
            [vocabulary.decode(generator.integers(1, num_items + 1, MAX_LENGTH))], K, True
        )
        for _ in range(NUM_REQUESTS)
    ]
    for part, block in (("in_a_row", 20), ("in_turns", 1)):
        for name, duration_ms in median_ms(asked, requests, rounds * 20 // block, block).items():
            rows[name][f"{part}_ms"] = duration_ms
    return rows


def median_ms(
    asked: Mapping[str, SessionFunction],
    requests: list[dict[str, np.ndarray]],
    rounds: int,
    block: int,
) -> dict[str, float]:
    """The median of each model, which have blocks of requests in turns.

    Args:
      asked: models by name.
      requests: cycled over.
      rounds: turns of every model.
      block: requests of a turn; if there are several, more of them come before, as a warm-up.
    """
    durations_ms: dict[str, list[float]] = {name: [] for name in asked}
    num_before = NUM_WARMUP_CALLS if block > 1 else 0
    for turn in range(rounds):
        for name, ask in asked.items():
            for number in range(-num_before, block):
                request = requests[(turn * block + number) % len(requests)]
                start = time.perf_counter()
                ask(request)
                if number >= 0:
                    durations_ms[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(durations)) for name, durations in durations_ms.items()}


if __name__ == "__main__":
    main()
