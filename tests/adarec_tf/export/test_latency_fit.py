import dataclasses

import numpy as np
import pytest

from adarec_tf.export.latency_fit import fit_latencies
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import NONE, PRIMITIVES
from tests.adarec_tf.search.hand_made_costs import cost_table


def _students(num_students: int) -> list[Genotype]:
    generator = np.random.default_rng(3)
    names = generator.choice(list(PRIMITIVES), (num_students, 2, 3))
    return [Genotype.from_primitives(2, cells.tolist()) for cells in names]


def test_latencies_that_are_sums_are_taken_apart() -> None:
    table, students = cost_table(), _students(20)
    latencies_ms = np.array([table.cost_of(student).latency_ms for student in students])
    fit = fit_latencies(students, latencies_ms)
    assert (fit.rest_ms, fit.cell_ms) == (pytest.approx(table.rest.latency_ms), 0.0)
    for name in PRIMITIVES:
        assert fit.operations_ms[name] == pytest.approx(table.operations[name].latency_ms), name
    np.testing.assert_allclose(fit.errors, 0.0, atol=1e-9)


def test_cells_have_a_term_of_their_own_where_students_have_more_or_fewer() -> None:
    table, students = cost_table(), _students(20)
    students += [dataclasses.replace(student, cells=student.cells[:1]) for student in students[:4]]
    latencies_ms = np.array([table.cost_of(student).latency_ms for student in students])
    fit = fit_latencies(students, latencies_ms)
    assert fit.cell_ms == pytest.approx(table.cell.latency_ms)
    assert fit.rest_ms + 2 * fit.cell_ms == pytest.approx(table.rest.latency_ms)
    np.testing.assert_allclose(fit.errors, 0.0, atol=1e-9)


def test_no_operation_takes_less_than_no_time() -> None:
    students = _students(20)
    latencies_ms = np.array(
        [2.0 - 0.05 * sum(e.primitive == "skip" for c in s.cells for e in c) for s in students]
    )
    fit = fit_latencies(students, latencies_ms)
    assert min(fit.operations_ms.values()) == 0.0
    assert fit.operations_ms[NONE] == 0.0


def test_an_error_is_that_of_a_prediction_from_the_others() -> None:
    table, students = cost_table(), _students(20)
    latencies_ms = np.array([table.cost_of(student).latency_ms for student in students])
    latencies_ms[4] *= 2.0  # an outlier: predicted from the others, it should take half of that
    assert fit_latencies(students, latencies_ms).errors[4] == pytest.approx(-0.5)
