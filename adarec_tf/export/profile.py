"""Measures what `CostTable` holds: counts of every operation, and latency in the form of serving.

An operation timed alone is mostly the dispatch of a call, and in a student its time depends on what
stands around it. So whole students are timed, through the served function, all of them in turns:
what an operation takes is what it adds to a request, by least squares.
"""

import dataclasses
import functools
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig, kernel_format
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.export.latency_fit import LatencyFit, fit_latencies
from adarec_tf.export.machine import describe_machine
from adarec_tf.export.signatures import EMBED, SIGNATURE, build_served_model
from adarec_tf.export.tf_session import TfSession
from adarec_tf.export.warm_up import request_arrays
from adarec_tf.models.model_cost import count_macs, count_parameters, encoder_macs, served_bytes
from adarec_tf.models.sequence_model import SequenceEmbedding, SequenceModel
from adarec_tf.models.students import Genotype, Student, student_config_of
from adarec_tf.models.students.cost_table import (
    SERVED_BATCH,
    Cost,
    CostTable,
    StudentShape,
    read_cost_table,
)
from adarec_tf.models.students.genotype import edge_ends, read_genotype
from adarec_tf.models.students.primitives import NONE, PRIMITIVES
from adarec_tf.training.devices import worker_name

_NUM_STUDENTS = 24
_NUM_ROUNDS = 6
_NUM_CALLS, _NUM_BATCH_CALLS = 20, 6  # of a function in a round
_NUM_WARMUP_CALLS = 3  # before them, to have the model back in the processor's caches
_NUM_REQUESTS = 16  # different ones, taken in turns
_SHARE_OF_FASTEST = 0.1  # of the calls, which whatever else the machine does has hardly met
_MODELS_A_SESSION = 8  # each of which is gone through for the next one that is loaded
_NUM_RECOMMENDED = 10
_LOOSE_SHARE = 0.8  # of a latency budget, within which the slowest student makes it say nothing
_MAX_NONE_SHARE = 0.8
_DIGITS = 4  # of milliseconds: a tenth of a microsecond

logger = logging.getLogger(__name__)
Request = dict[str, np.ndarray]
Ask = Callable[[Request], object]


def find_costs(
    teacher: SequenceModel | EnsembleTeacher,
    student: StudentConfig,
    search: SearchConfig,
    *,
    max_length: int,
    kept_dir: str,
    strategy: tf.distribute.Strategy | None = None,
) -> list[CostTable]:
    """The costs that a search goes by: a table for each width.

    They are read from the file that `search.cost_table` names. Without one they are counted, and
    measured where latency counts.

    Args:
      teacher: a built sequence model, the unit of the cost; of several, the first.
      student: config of the students, but for the widths that are searched.
      search: may name a file or a genotype, and says whether latency counts.
      max_length: items of a history.
      kept_dir: where measured tables are kept, so that an interrupted search goes on with them.
      strategy: of the search; None is this process alone.

    Returns:
      A table for each width of the search, or one for the genotype that `search.genotype` names.

    Raises:
      ValueError: there is no such file, its table was made for another search, or several workers
        would measure.
    """
    if search.genotype:
        students = [student_config_of(read_genotype(search.genotype), student)]
    else:
        widths = search.hidden_dims or (student.hidden_dim,)
        students = [student.replace(hidden_dim=width) for width in widths]
    unit = teacher.members[0] if isinstance(teacher, EnsembleTeacher) else teacher
    counted = [count_costs(unit, of_width, max_length) for of_width in students]
    if search.cost_table:
        table = read_cost_table(search.cost_table)
        table.check_fits(counted[0])
        return [table]
    if not search.reads_latency:
        return counted
    if strategy is not None and worker_name(strategy):
        raise ValueError(
            "`search.cost_table` should name a table where several workers search by latency: each "
            "would measure its own. Received: none; make one with `adarec profile`."
        )
    return [_kept_latencies(table, unit, Path(kept_dir)) for table in counted]


def _kept_latencies(counted: CostTable, teacher: SequenceModel, folder: Path) -> CostTable:
    path = folder / f"costs_{counted.shape.hidden_dim}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        measure_latencies(counted, teacher).write(str(path))
    return read_cost_table(str(path))


def count_costs(teacher: SequenceModel, student: StudentConfig, max_length: int) -> CostTable:
    """Counts parameters, multiply-adds and bytes; nothing is timed.

    Args:
      teacher: a built sequence model; its items are the student's.
      student: config of the students.
      max_length: items of a history.

    Returns:
      A table without latencies.
    """
    shape = StudentShape.of(student, teacher.sequence_embedding.num_items, max_length)
    embedding = _build_embedding(shape)
    rest, more = (
        _count_model(_build_student(shape, _none_genotype(shape, num_cells), embedding), max_length)
        for num_cells in (shape.num_cells, shape.num_cells + 1)
    )
    whole = _count_model(teacher, max_length)
    num_floats = whole.parameters - count_parameters(teacher).embedding
    return CostTable(
        shape=shape,
        operations={
            name: _count_operation(name, shape.hidden_dim, shape.precision, max_length)
            for name in PRIMITIVES
        },
        cell=Cost(*(int(with_one - without) for with_one, without in zip(more, rest, strict=True))),
        rest=rest,
        teacher=whole,
        teacher_encoder=whole._replace(parameters=num_floats, served_bytes=4 * num_floats),
    )


@functools.cache
def _count_operation(name: str, hidden_dim: int, precision: str, max_length: int) -> Cost:
    layer = PRIMITIVES[name].build(kernel_format(precision))
    shapes = [(1, max_length, size) for size in (hidden_dim, 1)]
    layer.build(shapes[0])
    parameters = sum(int(np.prod(v.shape)) for v in layer.weights)
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return Cost(parameters, count_macs(lambda s, m: layer(s, m), specs), layer.served_bytes)


def _count_model(model: SequenceModel, max_length: int) -> Cost:
    return Cost(count_parameters(model).total, encoder_macs(model, max_length), served_bytes(model))


def measure_latencies(
    counted: CostTable,
    teacher: SequenceModel,
    *,
    num_students: int = _NUM_STUDENTS,
    num_rounds: int = _NUM_ROUNDS,
) -> CostTable:
    """Times students of the table's shape, and the teacher, on this machine.

    Args:
      counted: from `count_costs` with the same teacher.
      teacher: a built sequence model.
      num_students: how many of all cells, from an empty one to full ones. Where there are several
        cells, students of fewer cells are added, two of each number.
      num_rounds: how often the turn comes to each of them.

    Returns:
      The table with latencies, their errors, and the machine.
    """
    start = time.monotonic()
    shape = counted.shape
    genotypes = _profiled_genotypes(shape, num_students)
    embedding = _build_embedding(shape)
    models = [*(_build_student(shape, genotype, embedding) for genotype in genotypes), teacher]
    keys = tuple(f"item-{number:09d}" for number in range(shape.num_items))
    asked = _served_functions(models, keys, shape.max_length)
    encode = asked.pop()  # the teacher's encoder alone
    requests, batches = (
        _random_requests(keys, size, shape.max_length) for size in (1, SERVED_BATCH)
    )
    # Both in each round, so that what goes on beside them for seconds meets a part of each.
    rounds = [
        (
            _round_ms([*asked, encode], requests, turn, _NUM_CALLS),
            _round_ms(asked, batches, turn, _NUM_BATCH_CALLS),
        )
        for turn in range(num_rounds)
    ]
    single, batched = (_unhindered_ms(durations) for durations in zip(*rounds, strict=True))
    num_timed = len(genotypes)
    fits = [fit_latencies(genotypes, times[:num_timed]) for times in (single, batched)]
    logger.info("stage=profile students=%d seconds=%.1f", num_timed, time.monotonic() - start)
    return _with_latencies(counted, fits, single[num_timed:], batched[num_timed:])


def has_loose_budget(
    teacher: SequenceModel, student: StudentConfig, search: SearchConfig, *, max_length: int
) -> bool:
    """Whether the slowest student answers far within the latency budget, which then says nothing.

    A moment's look: to learn what every operation takes, dozens of students are timed.

    Args:
      teacher: a built sequence model; its items are the student's.
      student: config of the students.
      search: has the budget; its widths are looked at as well.
      max_length: items of a history.
    """
    widest = student.replace(hidden_dim=max(search.hidden_dims or (student.hidden_dim,)))
    counted = count_costs(teacher, widest, max_length)
    shape = counted.shape
    slowest = max(counted.operations, key=lambda name: counted.operations[name].macs)
    edges = [slowest] * len(edge_ends(shape.num_nodes))
    genotype = Genotype.from_primitives(shape.num_nodes, [edges] * shape.num_cells)
    model = _build_student(shape, genotype, _build_embedding(shape))
    keys = tuple(f"item-{number:09d}" for number in range(shape.num_items))
    ask, _ = _served_functions([model], keys, max_length)
    requests = _random_requests(keys, 1, max_length)
    rounds = [_round_ms([ask], requests, turn, _NUM_CALLS) for turn in range(_NUM_ROUNDS)]
    [slowest_ms] = _unhindered_ms(rounds)
    logger.info("stage=profile slowest_ms=%.3f", slowest_ms)
    return bool(slowest_ms <= _LOOSE_SHARE * search.latency_budget_ms)


def _with_latencies(
    counted: CostTable,
    fits: Sequence[LatencyFit],
    teacher_ms: np.ndarray,
    teacher_batch_ms: np.ndarray,
) -> CostTable:
    """The table with the terms of both fits, and of the teacher as a whole and its encoder."""
    single, batched = fits
    num_cells = counted.shape.num_cells
    threading = tf.config.threading

    def timed(cost: Cost, latency_ms: float, batch_latency_ms: float = 0.0) -> Cost:
        return cost._replace(
            latency_ms=round(float(latency_ms), _DIGITS),
            batch_latency_ms=round(float(batch_latency_ms), _DIGITS),
        )

    return dataclasses.replace(
        counted,
        operations={
            name: timed(cost, single.operations_ms[name], batched.operations_ms[name])
            for name, cost in counted.operations.items()
        },
        cell=timed(counted.cell, single.cell_ms, batched.cell_ms),
        rest=timed(counted.rest, *(fit.rest_ms + num_cells * fit.cell_ms for fit in fits)),
        teacher=timed(counted.teacher, teacher_ms[0], teacher_batch_ms[0]),
        teacher_encoder=timed(counted.teacher_encoder, teacher_ms[1]),
        latency_errors=tuple(round(error, _DIGITS) for error in single.errors),
        machine={
            **describe_machine(),
            "tensorflow": tf.__version__,
            # 0: as many as there are cores.
            "intra_op_threads": threading.get_intra_op_parallelism_threads(),
            "inter_op_threads": threading.get_inter_op_parallelism_threads(),
        },
    )


def _none_genotype(shape: StudentShape, num_cells: int) -> Genotype:
    edges = [NONE] * len(edge_ends(shape.num_nodes))
    return Genotype.from_primitives(shape.num_nodes, [edges] * num_cells)


def _profiled_genotypes(shape: StudentShape, num_students: int) -> list[Genotype]:
    """An empty one, then ones with fewer and fewer edges of `none`; the same in every profile.

    Behind them for each smaller number of cells an empty one, and the bottom of a full one.
    """
    generator = np.random.default_rng(0)
    others = [name for name in PRIMITIVES if name != NONE]
    size = (shape.num_cells, len(edge_ends(shape.num_nodes)))
    genotypes = [_none_genotype(shape, shape.num_cells)]
    for none_share in np.linspace(_MAX_NONE_SHARE, 0.0, num_students - 1):
        names = np.where(generator.random(size) < none_share, NONE, generator.choice(others, size))
        genotypes.append(Genotype.from_primitives(shape.num_nodes, names.tolist()))
    full = genotypes[-1]
    for num_cells in range(1, shape.num_cells):
        bottom = dataclasses.replace(full, cells=full.cells[:num_cells])
        genotypes += [_none_genotype(shape, num_cells), bottom]
    return [genotype.without_dead_edges() for genotype in genotypes]


def _build_embedding(shape: StudentShape) -> SequenceEmbedding:
    embedding = SequenceEmbedding(
        shape.num_items, shape.hidden_dim, shape.max_length, item_table=shape.precision
    )
    embedding.build((None, None))
    return embedding


def _build_student(
    shape: StudentShape, genotype: Genotype, embedding: SequenceEmbedding
) -> Student:
    """A student on a given embedding: a table for each of many students would fill the memory."""
    student = Student(
        genotype=genotype,
        num_items=shape.num_items,
        max_length=shape.max_length,
        hidden_dim=shape.hidden_dim,
        dropout=0.0,
        precision=shape.precision,
    )
    student.sequence_embedding = embedding
    for layer in (*student.cells, student.final_norm):
        layer.build((None, None, shape.hidden_dim))
    student.built = True  # part by part; Keras would look for the embedding that was replaced
    return student


def _served_functions(
    models: Sequence[SequenceModel], keys: Sequence[str], max_length: int
) -> list[Ask]:
    """For each model what answers a request, as a server does, and what encodes one by the last.

    All but the last share their item table, as far as they are in one session.
    """
    asked: list[Ask] = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "vocabulary.txt")
        ItemVocabulary(tuple(keys)).write(path)
        for number, model in enumerate(models):
            is_last = model is models[-1]
            if number % _MODELS_A_SESSION == 0:
                session = TfSession()
            signatures = (SIGNATURE, EMBED) if is_last else (SIGNATURE,)
            served = build_served_model(
                model, path, max_length=max_length, exclude_seen=True, names=signatures
            )
            saved = str(Path(folder) / f"model_{number}")
            tf.saved_model.save(served.module, saved, signatures=served.signatures)
            functions = (TfSession() if is_last else session).load(saved)
            shutil.rmtree(saved)
            asked += [functions[name] for name in signatures]
    return asked


def _random_requests(keys: Sequence[str], batch_size: int, max_length: int) -> list[Request]:
    """Requests with histories of full length, which are the slowest."""
    generator = np.random.default_rng(0)
    return [
        request_arrays(
            generator.choice(keys, (batch_size, max_length)).tolist(), _NUM_RECOMMENDED, True
        )
        for _ in range(_NUM_REQUESTS)
    ]


def _round_ms(
    asked: Sequence[Ask], requests: Sequence[Request], turn: int, num_calls: int
) -> np.ndarray:
    """Float64 [F, num_calls]: how long calls take of each function, in turns.

    In its turn a function is called again and again, as by a server that has no other model: one
    call of each in turn took half as long again, with nothing left in the processor's caches.
    """
    durations = np.zeros((len(asked), _NUM_WARMUP_CALLS + num_calls))
    for place, ask in enumerate(asked):
        for number in range(durations.shape[-1]):
            request = requests[(turn + number) % len(requests)]
            start = time.perf_counter()
            ask(request)
            durations[place, number] = 1e3 * (time.perf_counter() - start)
    return durations[:, _NUM_WARMUP_CALLS:]


def _unhindered_ms(rounds: Sequence[np.ndarray]) -> np.ndarray:
    """Float64 [F]: the time of each function where nothing else has the processor.

    Other processes make calls slower, never faster. Where they had half of it, an operation took
    nothing or twice its time by the medians.
    """
    return np.quantile(np.concatenate(rounds, axis=1), _SHARE_OF_FASTEST, axis=1)
