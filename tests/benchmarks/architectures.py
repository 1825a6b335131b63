"""Architectures to compare: how they are drawn, timed and trained alike, and rows that survive.

A training is identified by the name of its architecture and a seed. Its row is appended to a file
of JSON lines when it is done, so that what was killed goes on with what is missing.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from train_teacher import evaluate

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.distillation.distiller import distill_student
from adarec_tf.evaluation.protocols import model_scorer
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.students.genotype import edge_ends
from adarec_tf.models.students.primitives import NONE, PRIMITIVES
from adarec_tf.training.callbacks import MONITOR
from adarec_tf.training.fit import SELECTION_METRIC

_NUM_CALLS, _NUM_WARMUP_CALLS = 200, 20
_MAX_DRAWS = 100_000
# Of NextItNet: the dilation grows from layer to layer.
_CHAIN = ("conv_3", "dilated_2_conv_3", "dilated_4_conv_3")


def random_genotypes(student: StudentConfig, search: SearchConfig, seed: int) -> Iterator[Genotype]:
    """Distinct architectures, each edge uniform over the operations, none of them blind to order.

    As in the space that is searched, all cells are alike if alphas are `shared`, and the number of
    cells is uniform if the depth is searched. Dead edges are `none`.
    """
    generator = np.random.default_rng(seed)
    names, num_edges = list(PRIMITIVES), len(edge_ends(student.num_nodes))
    num_optional = search.num_optional_cells(student.num_cells)
    seen = set()
    for _ in range(_MAX_DRAWS):
        num_absent = generator.integers(num_optional + 1) if num_optional > 0 else 0
        num_cells = student.num_cells - num_absent
        num_drawn, num_alike = (1, num_cells) if search.alphas == "shared" else (num_cells, 1)
        cells = [generator.choice(names, num_edges).tolist() for _ in range(num_drawn)]
        genotype = Genotype.from_primitives(student.num_nodes, cells * num_alike)
        genotype = genotype.without_dead_edges()
        if genotype not in seen and not genotype.is_degenerate:
            seen.add(genotype)
            yield genotype


def hand_made_genotypes(student: StudentConfig) -> list[Genotype]:
    """A stack of convolutions of growing dilation, as NextItNet's: of all nodes, or of fewer."""
    ends = edge_ends(student.num_nodes)
    return [
        Genotype.from_primitives(
            student.num_nodes,
            [
                [
                    _CHAIN[source % len(_CHAIN)] if target == source + 1 <= depth else NONE
                    for source, target in ends
                ]
            ]
            * student.num_cells,
        )
        for depth in range(student.num_nodes, 0, -1)
    ]


def served_encoder(genotype: Genotype, student: StudentConfig, scene: Dataset) -> Callable:
    """Encodes one full history in the form that is served; returns when the state is there.

    Without the scores of the catalog, which cost every student of a width the same.
    """
    model = build_student(genotype, student, scene.num_items, scene.max_length, seed=0)
    history = np.random.default_rng(0).integers(1, scene.num_items + 1, (1, scene.max_length))
    item_ids = tf.constant(history, tf.int64)
    with model.sequence_embedding.serving_form():
        encode = tf.function(
            lambda ids: model(ids, training=False).final_states[:, -1],
            input_signature=[tf.TensorSpec(item_ids.shape, tf.int64)],
        ).get_concrete_function()

    # A default argument: the graph does not keep the model's variables alive.
    return lambda model=model: encode(item_ids).numpy()


def latency_ratio(call: Callable, reference: Callable) -> float:
    """The time of one encoder in units of another's, both called in turns: of the fastest tenth."""
    durations: list[list[float]] = [[], []]
    for _ in range(_NUM_WARMUP_CALLS + _NUM_CALLS):
        for encoder, times in zip((call, reference), durations, strict=True):
            start = time.perf_counter()
            encoder()
            times.append(time.perf_counter() - start)
    fastest = [np.quantile(times[_NUM_WARMUP_CALLS:], 0.1) for times in durations]
    return float(fastest[0] / fastest[1])


def train_row(
    genotype: Genotype,
    teacher: Any,
    config: PipelineConfig,
    scene: Dataset,
    *,
    seed: int,
    checkpoint_dir: Path,
) -> dict[str, Any]:
    """Trains a student afresh; the test targets are looked at after it, and choose nothing."""
    student = build_student(genotype, config.student, scene.num_items, scene.max_length, seed=seed)
    history = distill_student(
        student,
        teacher,
        scene.train,
        scene.valid,
        config.distillation,
        seen=scene.seen,
        seed=seed,
        checkpoint_dir=str(checkpoint_dir),
        windows=config.data.windows,
        compute_dtype=config.compute_dtype,
    )
    row = {
        "seed": seed,
        "epochs": len(history),
        "train_s": round(sum(record["train_s"] for record in history), 1),
        "valid": max(record[MONITOR] for record in history),
        "test": evaluate(model_scorer(student), scene, "test", scene.seen)[SELECTION_METRIC],
    }
    keras.backend.clear_session()  # of many trainings in one process
    return row


def unnamed(row: dict[str, Any]) -> dict[str, Any]:
    """A training's row without the name under which it is stored."""
    return {name: value for name, value in row.items() if name != "name"}


class Rows:
    """The rows of finished trainings: one file for every process that writes some."""

    def __init__(self, folder: Path, process: str) -> None:
        """Args: the folder that all processes share, and the name of this one."""
        self._folder = folder
        self._path = folder / f"rows-{process}.jsonl"

    def read(self) -> dict[tuple[str, int], dict[str, Any]]:
        """By architecture's name and seed."""
        lines = [
            line
            for path in sorted(self._folder.glob("rows-*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        rows = [json.loads(line) for line in lines]
        return {(row["name"], row["seed"]): row for row in rows}

    def add(self, name: str, seed: int, train: Callable[[Path], dict[str, Any]]) -> None:
        """Trains what has no row yet, in a folder that is deleted afterwards."""
        if (name, seed) in self.read():
            return
        checkpoint_dir = self._folder / f"{name}-{seed}"
        self._folder.mkdir(parents=True, exist_ok=True)
        row = {"name": name, **train(checkpoint_dir)}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        shutil.rmtree(checkpoint_dir)
        print(json.dumps(row), flush=True)
