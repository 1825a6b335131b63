"""How well the cost table predicts the latency of exported students that it has never seen.

    python tests/benchmarks/predicted_latency.py --name 48_int8 --hidden-dim 48 --precision int8

Measures a table as `adarec profile` does, draws random genotypes, exports an untrained student of
each as a bundle, and times the bundles in turns by `measure_latency`, on histories of full length.
Writes `tests/benchmarks/results/predicted_<name>.json`.

Beside other work on the same machine the clock on the wall tells mostly of that work.
`--clock cpu --threads 1` takes the processor's time instead, for table and bundles alike.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tensorflow as tf
from stored_results import RESULTS, provenance, write_result

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.bundle import write_bundle
from adarec_tf.export.latency import measure_latency
from adarec_tf.export.profile import count_costs, measure_latencies
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.students.cost_table import CostTable
from adarec_tf.models.students.genotype import edge_ends
from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.models.teachers import build_teacher

_NUM_HISTORIES = 50
_CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def parse_arguments() -> argparse.Namespace:
    """The command line; sizes are those of Amazon Beauty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--num-items", type=int, default=12101)
    parser.add_argument("--max-length", type=int, default=50)
    parser.add_argument("--hidden-dim", type=int, default=32)
    parser.add_argument("--num-cells", type=int, default=2)
    parser.add_argument("--num-nodes", type=int, default=3)
    parser.add_argument(
        "--precision", default="float32", choices=StudentConfig.choices("precision")
    )
    parser.add_argument("--students", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100, help="a student and a round")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--clock", choices=_CLOCKS, default="wall")
    parser.add_argument("--note", default="", help="stored: what else the machine was doing")
    return parser.parse_args()


def draw_genotypes(student: StudentConfig, count: int) -> list[Genotype]:
    """Random ones, whose cells are all alike, as those of a search are."""
    generator = np.random.default_rng(1)
    shape = (count, len(edge_ends(student.num_nodes)))
    return [
        Genotype.from_primitives(
            student.num_nodes, [names] * student.num_cells
        ).without_dead_edges()
        for names in generator.choice(list(PRIMITIVES), shape).tolist()
    ]


def measure_bundles(
    genotypes: list[Genotype], student: StudentConfig, options: argparse.Namespace, folder: str
) -> np.ndarray:
    """float64 [rounds, students]: the median latency of each bundle in each round, in ms."""
    keys = tuple(f"B{number:09d}" for number in range(options.num_items))
    bundles = [str(Path(folder) / str(number)) for number in range(len(genotypes))]
    for bundle, genotype in zip(bundles, genotypes, strict=True):
        write_bundle(
            build_student(genotype, student, options.num_items, options.max_length, seed=1),
            ItemVocabulary(keys),
            bundle,
            max_length=options.max_length,
            seen="exclude",
            genotype_json=None,
            manifest={},
            warmup_histories=[],
        )
    histories = np.random.default_rng(2).choice(keys, (_NUM_HISTORIES, options.max_length)).tolist()
    return np.array(
        [
            [
                measure_latency(bundle, histories, k=10, num_requests=options.requests).p50_ms
                for bundle in bundles
            ]
            for _ in range(options.rounds)
        ]
    )


def compare(genotypes: list[Genotype], table: CostTable, measured: np.ndarray) -> dict[str, Any]:
    """Predicted and measured latency of each student, and how far they are apart."""
    medians = np.median(measured, axis=0)
    predicted = np.array([table.cost_of(genotype).latency_ms for genotype in genotypes])
    errors = predicted / medians - 1.0
    return {
        "median_error": float(np.median(np.abs(errors))),
        "largest_error": float(np.abs(errors).max()),
        "share_within_15_percent": float(np.mean(np.abs(errors) <= 0.15)),
        "students": [
            {
                "genotype": [edge.primitive for edge in genotype.cells[0]],
                "predicted_ms": round(float(predicted[number]), 4),
                "measured_p50_ms": round(float(medians[number]), 4),
                "rounds_p50_ms": [round(float(value), 4) for value in measured[:, number]],
                "error": round(float(errors[number]), 4),
            }
            for number, genotype in enumerate(genotypes)
        ],
    }


def main() -> None:
    """Measures, prints and stores."""
    options = parse_arguments()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    student = StudentConfig(
        hidden_dim=options.hidden_dim,
        num_cells=options.num_cells,
        num_nodes=options.num_nodes,
        precision=options.precision,
    )
    teacher = build_teacher(NextItNetConfig(), options.num_items, options.max_length, seed=1)
    genotypes = draw_genotypes(student, options.students)
    with (
        mock.patch.object(time, "perf_counter", _CLOCKS[options.clock]),
        tempfile.TemporaryDirectory() as folder,
    ):
        table = measure_latencies(count_costs(teacher, student, options.max_length), teacher)
        measured = measure_bundles(genotypes, student, options, folder)
    compared = compare(genotypes, table, measured)
    for row in compared["students"]:
        print(
            f"{row['predicted_ms']:.3f} {row['measured_p50_ms']:.3f} {row['error']:+.1%}", end=" "
        )
        print(" ".join(row["genotype"]))
    errors = np.abs(table.latency_errors)
    print(
        f"error: median {compared['median_error']:.1%}, largest {compared['largest_error']:.1%}; "
        f"of the table's own students: median {np.median(errors):.1%}, largest {errors.max():.1%}"
    )
    arguments = vars(options).items()
    command = ["python", "tests/benchmarks/predicted_latency.py"]
    command += [part for k, v in arguments for part in (f"--{k.replace('_', '-')}", str(v))]
    stored = {
        **provenance(command, ("tensorflow", "keras", "numpy", "scipy")),
        "load_average": list(os.getloadavg()),
        "shape": table.shape.to_dict(),
        "errors_of_the_table": {
            "students": len(errors),
            "median": float(np.median(errors)),
            "largest": float(errors.max()),
        },
        **compared,
    }
    write_result(RESULTS / f"predicted_{options.name}.json", stored)
    print(RESULTS / f"predicted_{options.name}.json")


if __name__ == "__main__":
    main()
