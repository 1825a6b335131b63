from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.cost_table import Cost, CostTable
from adarec_tf.search.cost import cost
from adarec_tf.search.cost.cost import Prices, expected_cost, relative_costs, search_costs
from adarec_tf.search.space.alphas import OPERATIONS
from adarec_tf.search.space.depth import ExpectedStudent
from tests.adarec_tf.search.hand_made_costs import cost_table

STUDENT = StudentConfig(hidden_dim=4, num_cells=2, num_nodes=2)
COUNTED = cost_table(
    operations={
        name: part._replace(latency_ms=0.0) for name, part in cost_table().operations.items()
    },
    rest=Cost(100, 0, 400),
    latency_errors=(),
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[CostTable]:
    """What was measured; each time it takes a little longer."""
    tables: list[CostTable] = []

    def measure(counted: CostTable, teacher: None) -> CostTable:
        tables.append(cost_table(rest=Cost(100, 0, 400, 1.0 + len(tables))))
        return tables[-1]

    monkeypatch.setattr(cost, "count_costs", lambda *arguments: COUNTED)
    monkeypatch.setattr(cost, "measure_latencies", measure)
    return tables


def _costs(folder: Path, **settings: object) -> CostTable:
    return search_costs(
        None,  # type: ignore[arg-type]
        STUDENT,
        SearchConfig(**settings),  # type: ignore[arg-type]
        max_length=8,
        kept_path=str(folder / "new" / "costs.json"),
    )


def test_latency_is_measured_only_where_it_counts(
    measured: list[CostTable], tmp_path: Path
) -> None:
    assert _costs(tmp_path) == COUNTED
    assert measured == []
    assert _costs(tmp_path, cost_latency_share=0.5) == measured[0]


def test_an_interrupted_search_goes_on_with_the_costs_it_began_with(
    measured: list[CostTable], tmp_path: Path
) -> None:
    first = _costs(tmp_path, cost_latency_share=0.5)
    assert _costs(tmp_path, cost_latency_share=0.5) == first
    assert len(measured) == 1


def test_a_table_that_is_given_is_gone_by(measured: list[CostTable], tmp_path: Path) -> None:
    path = str(tmp_path / "given.json")
    given = cost_table(rest=Cost(100, 0, 400, 77.0))
    given.write(path)
    assert _costs(tmp_path, cost_latency_share=0.5, cost_table=path) == given
    assert measured == []
    cost_table(teacher=Cost(1, 2, 3)).write(path)
    with pytest.raises(ValueError, match="of the teacher of this search"):
        _costs(tmp_path, cost_table=path)


def test_prices_are_shares_of_the_teachers_encoder() -> None:
    table = cost_table(
        operations=dict.fromkeys(OPERATIONS, Cost(10, 100, 40, 0.5)),
        teacher_encoder=Cost(100, 1000, 400, 2.0),
    )
    prices = relative_costs(table, num_cells=3, latency_share=0.5)
    np.testing.assert_allclose(prices.operations, 3 * (0.25 * 0.1 + 0.25 * 0.1 + 0.5 * 0.25))


def test_prices_without_latency_need_none() -> None:
    counted = cost_table(teacher_encoder=Cost(200, 10_000, 800))
    prices = relative_costs(counted, num_cells=2, latency_share=0.0)
    conv_5 = OPERATIONS.index("conv_5")
    assert prices.operations[conv_5] == pytest.approx(2 * (0.5 * 50 / 200 + 0.5 * 500 / 10_000))


def test_expected_cost_by_hand_and_its_direction() -> None:
    prices = Prices(np.eye(1, len(OPERATIONS), dtype=np.float32)[0])
    alphas = tf.Variable(tf.zeros([2, len(OPERATIONS)]))
    with tf.GradientTape() as tape:
        total = expected_cost(ExpectedStudent(tf.nn.softmax(alphas)), prices)
    gradient = tape.gradient(total, alphas).numpy()
    assert float(total) == pytest.approx(2 / len(OPERATIONS))
    assert np.all(gradient[:, 0] > 0)
    assert np.all(gradient[:, 1:] < 0)
