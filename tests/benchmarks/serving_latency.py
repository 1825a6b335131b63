"""Latency of served bundles: student and teachers, two sizes of catalog, in process and served.

    python tests/benchmarks/serving_latency.py --name cpu

One client, one history of 50 items a request, the best 100, seen items excluded. Weights are
untrained, but for scales that are not 1 and biases that are not 0: loading takes products with 1
and sums with 0 out of a graph, which a trained one has. `in_process` and `encoder` are run by a
`tf.Session`, as the embedded server and TensorFlow Serving do; `eager_…` by
`tf.saved_model.load`. `encoder` is the `embed` signature: keys to ids, and the state of the last
item. What an eager call costs before it computes anything is measured by a bundle-less function,
`empty_call`. `load_s` is with the bundle's warm-up requests.

Calls of all models and parts take turns, so that ratios are of the same machine; each finds its
caches full of the others' weights. `in_process` alone comes in a row, and `in_turns` is the same
call among the others. Then each model is served by the embedded server in a process of its own and
asked over gRPC.

Writes `tests/benchmarks/results/serving_latency_<name>.json`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import tensorflow as tf
from server_process import running_server
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig, SASRecConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.bundle import bundle_bytes, write_bundle
from adarec_tf.export.recommender import Recommender
from adarec_tf.export.warm_up import key_matrix, request_tensors
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.teachers import build_teacher
from serving.client import RecommendClient
from serving.loaded_model import LoadedModel, SignatureCall, load_model

MAX_LENGTH, K, HIDDEN_DIM = 50, 100, 64
NUM_REQUESTS = 50
NUM_WARMUP_CALLS = 20
# Two cells of three nodes with four convolutions each, more than searches on Beauty settle on.
GENOTYPE = Genotype.from_primitives(
    3, [["conv_3", "skip", "dilated_2_conv_3", "conv_5", "skip", "conv_3"]] * 2
)

Ask = Callable[[int], Any]


def main() -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--items", type=int, default=26_700)
    parser.add_argument("--many-items", type=int, default=1_000_000, help="0: leave them out")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    rows = measure_catalog(build_models(options.items), options.items, options)
    if options.many_items:
        models = build_models(options.many_items, formats=("float32", "int8"), has_teachers=False)
        rows |= measure_catalog(models, options.many_items, options)
    print_rows(rows)
    command = f"python tests/benchmarks/serving_latency.py --name {options.name}"
    command += f" --items {options.items} --many-items {options.many_items}"
    command += f" --rounds {options.rounds} --threads {options.threads}"
    stored = {
        **provenance(command.split(), ("tensorflow", "keras", "numpy", "grpcio")),
        "weights": "untrained, scales and biases disturbed",
        "request": {"histories": 1, "items": MAX_LENGTH, "k": K, "exclude_seen": True},
        "load_average": os.getloadavg(),
        "milliseconds": rows,
    }
    path = RESULTS / f"serving_latency_{options.name}.json"
    write_result(path, stored)
    print(path)


def build_models(
    num_items: int,
    formats: tuple[str, ...] = StudentConfig.choices("precision"),
    has_teachers: bool = True,
) -> dict[str, keras.Model]:
    """Untrained models by name."""
    models = {
        f"student_{table_format}": build_student(
            GENOTYPE,
            StudentConfig(
                hidden_dim=HIDDEN_DIM,
                num_cells=len(GENOTYPE.cells),
                precision=table_format,
            ),
            num_items,
            MAX_LENGTH,
            seed=1,
        )
        for table_format in formats
    }
    if has_teachers:
        sasrec = SASRecConfig(num_blocks=8, hidden_dim=128)
        nextitnet = NextItNetConfig(num_blocks=16, hidden_dim=256)
        models["sasrec_8x128"] = build_teacher(sasrec, num_items, MAX_LENGTH, seed=1)
        models["nextitnet_16x256"] = build_teacher(nextitnet, num_items, MAX_LENGTH, seed=1)
    for model in models.values():
        disturb_vectors(model)
    return models


def disturb_vectors(model: keras.Model) -> None:
    """Moves scales and biases, all that is a vector, from where they were initialized."""
    generator = np.random.default_rng(2)
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign_add(0.1 * generator.normal(size=variable.shape))


def measure_catalog(
    models: Mapping[str, keras.Model], num_items: int, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Figures of every model over one catalog."""
    vocabulary = ItemVocabulary(tuple(f"item-{number}" for number in range(num_items)))
    generator = np.random.default_rng(1)
    histories = [
        vocabulary.decode(generator.integers(1, num_items + 1, MAX_LENGTH))
        for _ in range(NUM_REQUESTS)
    ]
    rounds = options.rounds if num_items < 200_000 else max(1, options.rounds // 5)
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        calls: dict[str, Ask] = {}
        bundles = write_bundles(models, vocabulary, histories, Path(temporary))
        for name, bundle in bundles.items():
            start = time.perf_counter()
            model = load_model(bundle, version=1)
            load_s = time.perf_counter() - start
            rows[name] = {"bundle_bytes": bundle_bytes(str(bundle)), "load_s": load_s}
            parts = in_process_calls(model, Recommender.load(str(bundle)), histories)
            calls |= {f"{name} {part}": call for part, call in parts.items()}
        for name, figures in in_turns(calls, rounds).items():
            model_name, part = name.split(" ")
            rows[model_name][part] = figures
        for name in models:
            rows[name] |= in_turns({"in_process": calls[f"{name} in_turns"]}, rounds)
        for name, bundle in bundles.items():
            rows[name]["served"] = ask_served(bundle, histories, rounds)
    return {f"{name}_{num_items}": row for name, row in rows.items()}


def write_bundles(
    models: Mapping[str, keras.Model],
    vocabulary: ItemVocabulary,
    histories: list[list[str]],
    folder: Path,
) -> dict[str, Path]:
    """Writes a bundle of each model; returns their folders by the models' names.

    Args:
      models: by name.
      vocabulary: their items.
      histories: the first two are asked about in the warm-up.
      folder: an existing one.
    """
    bundles = {name: folder / name for name in models}
    for name, bundle in bundles.items():
        write_bundle(
            models[name],
            vocabulary,
            str(bundle),
            max_length=MAX_LENGTH,
            seen="exclude",
            genotype_json=None,
            manifest={},
            warmup_histories=histories[:2],
        )
    return bundles


def in_process_calls(
    model: LoadedModel, recommender: Recommender, histories: list[list[str]]
) -> dict[str, Ask]:
    """The calls to time, each given the number of a request."""
    requests = [request_tensors([history], K, True) for history in histories]
    asked = [
        SignatureCall(
            "serving_default",
            {name: np.asarray(tensor.numpy()) for name, tensor in request.items()},
            ["item_ids", "scores"],
        )
        for request in requests
    ]
    embedded = [
        SignatureCall("embed", {"history": call.inputs["history"]}, ["user_vector"])
        for call in asked
    ]
    keys = [key_matrix([history]) for history in histories]
    empty = tf.function(lambda history: tf.size(history)).get_concrete_function(
        tf.TensorSpec([None, None], tf.string)
    )
    embed = recommender.signatures["embed"]
    return {
        "in_turns": lambda n: model.run(asked[n]),
        "encoder": lambda n: model.run(embedded[n]),
        "eager_in_turns": lambda n: recommender.signature(**requests[n])["item_ids"].numpy(),
        "eager_encoder": lambda n: embed(history=keys[n])["user_vector"].numpy(),
        "empty_call": lambda n: empty(keys[n]).numpy(),
    }


def in_turns(calls: Mapping[str, Ask], rounds: int) -> dict[str, dict[str, float]]:
    """Percentiles of each call's milliseconds; the calls take turns."""
    durations_ms: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(NUM_WARMUP_CALLS + rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call(number % NUM_REQUESTS)
            durations_ms[name].append(1e3 * (time.perf_counter() - start))
    return {name: percentiles(durations) for name, durations in durations_ms.items()}


def percentiles(durations_ms: list[float]) -> dict[str, float]:
    """Without the warm-up."""
    values = np.percentile(durations_ms[NUM_WARMUP_CALLS:], [0, 50, 99])
    return dict(zip(("min", "p50", "p99"), map(float, values), strict=True))


def ask_served(bundle: Path, histories: list[list[str]], rounds: int) -> dict[str, float]:
    """Latency of the embedded server in a process of its own, as a client sees it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(bundle, Path(folder)) as server,
        RecommendClient(server.address) as client,
    ):
        calls = {"served": lambda n: client.recommend([histories[n]], K)}
        return in_turns(calls, rounds)["served"]


def print_rows(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """One line a model."""
    for name, row in rows.items():
        parts = [
            f"{part} p50={row[part]['p50']:.2f} p99={row[part]['p99']:.2f}"
            for part in (
                "in_process",
                "in_turns",
                "encoder",
                "eager_in_turns",
                "eager_encoder",
                "served",
            )
        ]
        print(f"{name}: load_s={row['load_s']:.2f}", *parts, sep="  ")


if __name__ == "__main__":
    main()
