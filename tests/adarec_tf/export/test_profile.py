"""Counts by hand, and against students that are built and served; latencies that were measured."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.export import profile
from adarec_tf.export.profile import count_costs, find_costs, measure_latencies
from adarec_tf.export.signatures import build_served_model
from adarec_tf.models.model_cost import count_parameters, encoder_macs, served_bytes
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.students.cost_table import Cost, CostTable
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.space.alphas import OPERATIONS
from tests.adarec_tf.search.hand_made_costs import COUNTED, cost_table

NUM_ITEMS, LENGTH = 11, 6
STUDENT = StudentConfig(hidden_dim=4, num_cells=2, num_nodes=2)
TEACHER = NextItNetConfig(hidden_dim=4, num_blocks=2)
CELLS = [["conv_3", "skip", "dilated_4_conv_5"], ["max_pool_3", "conv_5", "none"]]


@pytest.fixture(scope="module")
def teacher():  # type: ignore[no-untyped-def]
    return build_teacher(TEACHER, NUM_ITEMS, LENGTH, seed=1)


@pytest.fixture(scope="module")
def counted(teacher) -> CostTable:  # type: ignore[no-untyped-def]
    return count_costs(teacher, STUDENT, LENGTH)


def test_parameters_macs_and_bytes_of_operations_by_hand(counted: CostTable) -> None:
    costs = counted.operations
    assert list(costs) == list(OPERATIONS)
    # Kernel and bias of the convolution, scale and offset of the norm.
    assert costs["conv_3"].parameters == 3 * 4 * 4 + 4 + 2 * 4
    assert costs["conv_3"].served_bytes == 4 * costs["conv_3"].parameters
    assert costs["conv_3"].macs == 6 * 3 * 4 * 4
    assert costs["dilated_4_conv_5"].macs == 6 * 5 * 4 * 4
    for name in ("max_pool_3", "average_pool_3", "skip", "none"):
        assert costs[name] == (0, 0, 0, 0.0, 0.0)
    assert not counted.has_latency


def test_the_teacher_is_counted_with_and_without_its_tables(counted: CostTable) -> None:
    encoder = 2 * (2 * (3 * 4 * 4 + 4 + 2 * 4) + 1) + 2 * 4
    assert counted.teacher_encoder.parameters == encoder
    assert counted.teacher.parameters - encoder in (
        (NUM_ITEMS + 1) * 4,
        (NUM_ITEMS + 1 + LENGTH) * 4,
    )
    assert counted.teacher.macs == counted.teacher_encoder.macs == 2 * 2 * 6 * 3 * 4 * 4


@pytest.mark.parametrize("precision", StudentConfig.choices("precision"))
def test_counts_are_those_of_the_student_that_is_built_and_served(
    teacher,
    precision: str,
    tmp_path,  # type: ignore[no-untyped-def]
) -> None:
    config = StudentConfig(hidden_dim=4, num_cells=2, num_nodes=2, precision=precision)
    genotype = Genotype.from_primitives(2, CELLS)
    costs = count_costs(teacher, config, LENGTH)
    shallow = Genotype.from_primitives(2, CELLS[:1])
    student = build_student(shallow, config, NUM_ITEMS, LENGTH, seed=1)
    counted = (count_parameters(student).total, encoder_macs(student, LENGTH))
    assert costs.cost_of(shallow)[:3] == (*counted, served_bytes(student))
    predicted = costs.cost_of(genotype)
    student = build_student(genotype, config, NUM_ITEMS, LENGTH, seed=1)
    assert predicted.parameters == count_parameters(student).total
    assert predicted.macs == encoder_macs(student, LENGTH)
    assert predicted.served_bytes == served_bytes(student)
    path = str(tmp_path / "vocabulary.txt")
    ItemVocabulary(tuple(f"i{number}" for number in range(NUM_ITEMS))).write(path)
    served = build_served_model(student, path, max_length=LENGTH, exclude_seen=True)
    tables = sum(np.prod(v.shape) * v.dtype.size for v in served.module.variables)
    # What is no table of items is a constant of the served graph: the rows of the places, too.
    counts = count_parameters(student)
    constants = 4 * (counts.total - counts.embedding + LENGTH * 4)
    if precision != "float32":
        # Three of 13 taps, and places: a byte a weight, and a scale a channel, and a place.
        constants -= 3 * 13 * 4 * 4 - 3 * 4 * 4
        constants -= 3 * LENGTH * 4 - 4 * LENGTH
    assert predicted.served_bytes == tables + constants


@pytest.mark.slow
def test_latencies_are_measured_and_change_no_count(teacher) -> None:  # type: ignore[no-untyped-def]
    counted = count_costs(teacher, STUDENT.replace(num_cells=1), LENGTH)
    table = measure_latencies(counted, teacher, num_students=6, num_rounds=1)
    assert table.has_latency
    assert min(table.teacher.latency_ms, table.teacher_encoder.latency_ms) > 0
    assert table.rest.batch_latency_ms > 0
    assert table.operations["none"] == counted.operations["none"]
    assert max(cost.latency_ms for cost in table.operations.values()) > 0
    assert len(table.latency_errors) == 6
    assert table.machine["cores"] >= 1
    table.check_fits(counted)
    for name, cost in table.operations.items():
        assert cost[:3] == counted.operations[name][:3]


def test_more_students_are_timed_than_there_are_operations_to_tell_apart(
    teacher,  # type: ignore[no-untyped-def]
    counted: CostTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = []

    def stop(shape: object, num_students: int) -> None:
        numbers.append(num_students)
        raise KeyboardInterrupt

    monkeypatch.setattr(profile, "_profiled_genotypes", stop)
    with pytest.raises(KeyboardInterrupt):
        measure_latencies(counted, teacher)
    assert numbers[0] > 2 * len(OPERATIONS)


def test_one_full_history_is_asked_about_and_a_batch_of_them(
    teacher,  # type: ignore[no-untyped-def]
    counted: CostTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes = []

    def round_ms(asks: list, requests: list, turn: int, num_calls: int) -> np.ndarray:
        shapes.append({tuple(request["history"].shape) for request in requests})
        return np.arange(1.0, len(asks) + 1)[:, np.newaxis]

    monkeypatch.setattr(profile, "_round_ms", round_ms)
    measure_latencies(counted, teacher, num_students=6, num_rounds=2)
    assert shapes == [{(1, LENGTH)}, {(profile.SERVED_BATCH, LENGTH)}] * 2


def test_the_teacher_is_timed_whole_and_its_encoder_alone(
    teacher,  # type: ignore[no-untyped-def]
    counted: CostTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def served(models: list, keys: object, max_length: int) -> list[float]:
        return [1.0] * (len(models) - 1) + [7.0, 5.0]

    def round_ms(asks: list, requests: list, turn: int, num_calls: int) -> np.ndarray:
        return len(requests[0]["history"]) * np.array(asks)[:, np.newaxis]

    monkeypatch.setattr(profile, "_served_functions", served)
    monkeypatch.setattr(profile, "_round_ms", round_ms)
    table = measure_latencies(counted, teacher, num_students=6)
    assert table.teacher.latency_ms == 7.0
    assert table.teacher.batch_latency_ms == 7.0 * profile.SERVED_BATCH
    assert table.teacher_encoder.latency_ms == 5.0
    assert table.rest.latency_ms == pytest.approx(1.0)


def test_students_of_fewer_cells_are_timed_where_there_are_several(counted: CostTable) -> None:
    genotypes = profile._profiled_genotypes(counted.shape, 5)
    assert [len(genotype.cells) for genotype in genotypes] == [2] * 5 + [1, 1]
    one = counted.shape.replace(num_cells=1)
    assert [len(genotype.cells) for genotype in profile._profiled_genotypes(one, 5)] == [1] * 5


def test_functions_have_their_turns_and_the_warm_up_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, calls = [0.0], []

    def takes(name: str, seconds: list[float]):  # type: ignore[no-untyped-def]
        def ask(request: object) -> None:
            calls.append(f"{name}{request}")
            now[0] += seconds.pop(0)

        return ask

    monkeypatch.setattr(profile.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(profile, "_NUM_WARMUP_CALLS", 1)
    first = takes("a", [9.0, 1.0, 5.0, 9.0, 2.0, 7.0])
    second = takes("b", [9.0, 4.0, 3.0, 9.0, 8.0, 6.0])
    rounds = [
        profile._round_ms([first, second], [1, 2], turn, num_calls=2)  # type: ignore[list-item]
        for turn in range(2)
    ]
    assert [durations.tolist() for durations in rounds] == [
        [[1000.0, 5000.0], [4000.0, 3000.0]],
        [[2000.0, 7000.0], [8000.0, 6000.0]],
    ]
    assert calls == ["a1", "a2", "a1", "b1", "b2", "b1", "a2", "a1", "a2", "b2", "b1", "b2"]


def test_calls_that_others_hinder_do_not_count() -> None:
    generator = np.random.default_rng(0)
    alone = np.array([[1.0], [1.1]])
    # Four calls of five wait, those of one function longer, and in one round all of them.
    waits = generator.uniform(0.0, [[3.0], [9.0]], (4, 2, 20)) * (
        generator.random((4, 2, 20)) < 0.8
    )
    waits[0] += 1.0
    times = profile._unhindered_ms([*(alone + waits)])
    np.testing.assert_allclose(times, alone[:, 0], rtol=0.02)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[CostTable]:
    """What was measured; each time it takes a little longer."""
    tables: list[CostTable] = []

    def measure(counted: CostTable, teacher: None) -> CostTable:
        tables.append(cost_table(rest=Cost(100, 0, 400, 1.0 + len(tables))))
        return tables[-1]

    monkeypatch.setattr(profile, "count_costs", lambda *arguments: COUNTED)
    monkeypatch.setattr(profile, "measure_latencies", measure)
    return tables


def _costs(folder: Path, strategy: object = None, **settings: object) -> CostTable:
    [table] = find_costs(
        None,  # type: ignore[arg-type]
        STUDENT,
        SearchConfig(**settings),  # type: ignore[arg-type]
        max_length=8,
        kept_dir=str(folder / "new"),
        strategy=strategy,  # type: ignore[arg-type]
    )
    return table


def test_latency_is_measured_only_where_it_counts(
    measured: list[CostTable], tmp_path: Path
) -> None:
    assert _costs(tmp_path) == COUNTED
    assert measured == []
    assert _costs(tmp_path, latency_budget_ms=1.0) == measured[0]


def test_an_interrupted_search_goes_on_with_the_costs_it_began_with(
    measured: list[CostTable], tmp_path: Path
) -> None:
    first = _costs(tmp_path, latency_budget_ms=1.0)
    assert _costs(tmp_path, latency_budget_ms=1.0) == first
    assert len(measured) == 1


def test_a_table_that_is_given_is_gone_by(measured: list[CostTable], tmp_path: Path) -> None:
    path = str(tmp_path / "given.json")
    given = cost_table(rest=Cost(100, 0, 400, 77.0))
    given.write(path)
    assert _costs(tmp_path, latency_budget_ms=1.0, cost_table=path) == given
    assert measured == []
    cost_table(teacher=Cost(1, 2, 3)).write(path)
    with pytest.raises(ValueError, match="of the teacher of this search"):
        _costs(tmp_path, cost_table=path)


def test_several_workers_do_not_measure_each_for_itself(
    measured: list[CostTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "worker_name", lambda strategy: "worker-1")
    assert _costs(tmp_path, "workers") == COUNTED
    with pytest.raises(ValueError, match=re.escape("`search.cost_table` should name a table")):
        _costs(tmp_path, "workers", latency_budget_ms=1.0)
    assert measured == []
    assert not (tmp_path / "new").exists()


def test_each_width_has_a_table_and_a_given_genotype_that_of_its_own(
    teacher,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[tuple[object, int]] = []

    def count(unit: object, student: StudentConfig, max_length: int) -> CostTable:
        counted.append((unit, student.hidden_dim))
        return COUNTED

    monkeypatch.setattr(profile, "count_costs", count)
    path = tmp_path / "genotype.json"
    path.write_text(dataclasses.replace(Genotype.from_primitives(2, CELLS), hidden_dim=6).to_json())
    # The first of several teachers is the unit.
    several = EnsembleTeacher([teacher, build_teacher(TEACHER, NUM_ITEMS, LENGTH, seed=2)])
    for asked, settings, widths in (
        (teacher, {}, [4]),
        (several, {"hidden_dims": (16, 8)}, [16, 8]),
        (teacher, {"hidden_dims": (16, 8), "genotype": str(path)}, [6]),
    ):
        counted.clear()
        search = SearchConfig(**settings)  # type: ignore[arg-type]
        find_costs(asked, STUDENT, search, max_length=LENGTH, kept_dir=str(tmp_path))
        assert counted == [(teacher, width) for width in widths]


@pytest.mark.parametrize(("slowest_ms", "is_loose"), [(3.99, True), (4.01, False)])
def test_a_budget_is_loose_where_the_slowest_student_keeps_it_easily(
    teacher,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
    slowest_ms: float,
    is_loose: bool,
) -> None:
    built, asked = [], []
    build = profile._build_student

    def build_and_tell(shape: object, genotype: Genotype, embedding: object):  # type: ignore[no-untyped-def]
        built.append((shape.hidden_dim, genotype))  # type: ignore[attr-defined]
        return build(shape, genotype, embedding)  # type: ignore[arg-type]

    def round_ms(asks: list, requests: list, turn: int, num_calls: int) -> np.ndarray:
        asked.append((len(asks), turn, num_calls))
        for request in requests:
            asks[0](request)
        return np.array([[slowest_ms]])

    monkeypatch.setattr(profile, "_build_student", build_and_tell)
    monkeypatch.setattr(profile, "_round_ms", round_ms)
    search = SearchConfig(latency_budget_ms=5.0, hidden_dims=(2, 4))
    assert profile.has_loose_budget(teacher, STUDENT, search, max_length=LENGTH) is is_loose
    # Of the widest, the operation of most multiply-adds on every edge of every cell.
    slowest = Genotype.from_primitives(2, [["conv_5"] * 3] * 2)
    assert built[-1] == (4, slowest)
    assert asked == [(1, turn, profile._NUM_CALLS) for turn in range(profile._NUM_ROUNDS)]
