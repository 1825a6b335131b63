"""Bytes and latency of several models' bundles, asked in turns so that all see the same machine.

    python tests/benchmarks/compare_bundles.py --name beauty --scene beauty \
        --data interactions.csv.gz --models a.keras b.keras

Latency is that of one request with one real history, in process, top 10, items of the history as
the scene has them. Writes `tests/benchmarks/results/bundles_<name>.json`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from stored_results import RESULTS, provenance, write_result

import adarec_tf.models.students
import adarec_tf.models.teachers  # noqa: F401  (both register their Keras classes for loading)
from adarec_tf.data.dataset import Dataset
from adarec_tf.export.bundle import bundle_bytes, write_bundle
from adarec_tf.export.recommender import Recommender
from adarec_tf.export.warm_up import request_tensors
from adarec_tf.models.model_cost import count_parameters, encoder_macs, served_macs
from pipeline.configs import scene_config

_NUM_HISTORIES = 200
_NUM_WARMUP_CALLS = 20


def main() -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--scene", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", nargs="+", required=True, help="Keras files")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    scene = Dataset.from_config(options.data, scene_config(options.scene).data)
    test = scene.test
    histories = [
        scene.vocabulary.decode(test.history(user))
        for user in np.random.default_rng(1).choice(test.num_users, _NUM_HISTORIES)
    ]
    requests = [request_tensors([history], 10, scene.seen == "exclude") for history in histories]
    rows, recommenders = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        for path in map(Path, options.models):
            model = keras.saving.load_model(path)
            bundle = str(Path(temporary) / path.stem)
            write_bundle(
                model,
                scene.vocabulary,
                bundle,
                max_length=scene.max_length,
                seen=scene.seen,
                genotype_json=None,
                manifest={},
                warmup_histories=[],
            )
            recommenders[path.stem] = Recommender.load(bundle)
            rows[path.stem] = {
                "parameters": count_parameters(model)._asdict(),
                "encoder_macs": encoder_macs(model, scene.max_length),
                "served_macs": served_macs(model, scene.max_length),
                "bundle_bytes": bundle_bytes(bundle),
            }
        durations_ms: dict[str, list[float]] = {name: [] for name in recommenders}
        for call in range(_NUM_WARMUP_CALLS + options.rounds):
            for name, recommender in recommenders.items():
                start = time.perf_counter()
                recommender.signature(**requests[call % _NUM_HISTORIES])["item_ids"].numpy()
                durations_ms[name].append(1e3 * (time.perf_counter() - start))
    for name, durations in durations_ms.items():
        p50, p99 = np.percentile(durations[_NUM_WARMUP_CALLS:], [50, 99])
        rows[name] |= {"latency_p50_ms": float(p50), "latency_p99_ms": float(p99)}
        print(name, rows[name])
    command = [
        *("python", "tests/benchmarks/compare_bundles.py", "--name", options.name),
        *("--scene", options.scene, "--data", f"<log>/{Path(options.data).name}", "--models"),
        *(Path(path).name for path in options.models),
        *("--rounds", str(options.rounds), "--threads", str(options.threads)),
    ]
    stored = {
        **provenance(command, ("tensorflow", "keras", "numpy")),
        "models": rows,
    }
    path = RESULTS / f"bundles_{options.name}.json"
    write_result(path, stored)
    print(path)


if __name__ == "__main__":
    main()
