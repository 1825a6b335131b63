import json
from pathlib import Path

import pytest

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.cost_table import Cost, CostTable, StudentShape, read_cost_table
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import PRIMITIVES
from tests.adarec_tf.search.hand_made_costs import SHAPE, cost_table


def test_a_student_costs_the_rest_and_what_stands_on_its_live_edges() -> None:
    cells = [["conv_3", "skip", "max_pool_3"], ["none", "dilated_4_conv_5", "conv_3"]]
    cost = cost_table().cost_of(Genotype.from_primitives(2, cells))
    # The last convolution reads a node that nothing flows into.
    assert cost[:3] == (100 + 30 + 50, 300 + 500, 400 + 120 + 200)
    assert cost.latency_ms == pytest.approx(1.0 + 0.3 + 0.01 + 0.1 + 0.5)
    assert cost.batch_latency_ms == pytest.approx(5.0 + 3.0 + 0.1 + 1.0 + 5.0)


def test_a_student_of_fewer_cells_is_cheaper_by_those_as_well() -> None:
    cost = cost_table().cost_of(Genotype.from_primitives(2, [["conv_3", "skip", "max_pool_3"]]))
    assert cost[:3] == (100 - 6 + 30, 300, 400 - 24 + 120)
    assert cost.latency_ms == pytest.approx(1.0 - 0.05 + 0.3 + 0.01 + 0.1)


def test_a_table_survives_the_way_through_a_file(tmp_path: Path) -> None:
    table = cost_table()
    assert table.has_latency
    table.write(str(tmp_path / "costs.json"))
    assert read_cost_table(str(tmp_path / "costs.json")) == table
    assert [path.name for path in tmp_path.iterdir()] == ["costs.json"]
    counted = cost_table(rest=Cost(100, 0, 400), latency_errors=(), machine={})
    assert CostTable.from_json(counted.to_json()) == counted
    assert not counted.has_latency


def test_a_shape_is_what_the_config_and_the_scene_say() -> None:
    student = StudentConfig(
        hidden_dim=8,
        num_cells=3,
        num_nodes=2,
        dropout=0.5,
        precision="int8",
    )
    assert StudentShape.of(student, 50, 20) == StudentShape(
        num_items=50,
        max_length=20,
        hidden_dim=8,
        num_cells=3,
        num_nodes=2,
        precision="int8",
    )


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", json.dumps({**json.loads(cost_table().to_json()), "format_version": 0})],
)
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should be what `adarec profile` writes"):
        CostTable.from_json(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`search.cost_table` should be a file .*gone\.json"):
        read_cost_table(str(tmp_path / "gone.json"))


def test_a_table_of_other_operations_is_refused() -> None:
    operations = {name: Cost(0, 0, 0) for name in list(PRIMITIVES)[1:]}
    with pytest.raises(ValueError, match=r"should hold the operations conv_3, .* `adarec profile`"):
        cost_table(operations=operations)


def test_a_table_of_another_shape_names_what_differs() -> None:
    other = SHAPE.replace(hidden_dim=6, num_items=17)
    expected = (
        r"of num_items=17, hidden_dim=6\. Received: a table of num_items=16, hidden_dim=4; .*"
        "`adarec profile`"
    )
    with pytest.raises(ValueError, match=expected):
        cost_table().check_fits(cost_table(shape=other))


def test_a_table_of_another_teacher_is_refused() -> None:
    counted = cost_table(teacher=Cost(1000, 10_000, 4000))  # latency may differ
    cost_table().check_fits(counted)
    other = cost_table(teacher=Cost(1001, 10_000, 4004))
    with pytest.raises(ValueError, match=r"with 1,001 parameters .* of one with 1,000 parameters"):
        cost_table().check_fits(other)
