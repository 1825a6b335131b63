from pathlib import Path

import pytest

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.models.students.cost_table import CostTable, StudentShape
from adarec_tf.models.teachers import build_teacher
from pipeline import scene_costs
from pipeline.configs import scene_config
from pipeline.scene_costs import measure_scene_costs


@pytest.fixture(autouse=True)
def _counted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_costs, "measure_latencies", lambda counted, teacher: counted)
    # The threads of the tests' process are set.
    monkeypatch.setattr(scene_costs, "set_threads", lambda: None)


def _config() -> PipelineConfig:
    return scene_config("smoke").override(["student.hidden_dim=4", "teacher.hidden_dim=4"])


def test_a_scene_is_measured_with_its_own_teacher_and_items() -> None:
    config = _config()
    table = measure_scene_costs(config, None, num_items=0)
    assert 0 < table.shape.num_items <= 150  # the generator's
    length = config.data.max_length
    assert table.shape == StudentShape.of(config.student, table.shape.num_items, length)
    teacher = build_teacher(config.teacher, table.shape.num_items, length, seed=1)
    assert table.teacher.parameters == teacher.count_params()


def test_items_can_be_given_in_place_of_a_log(tmp_path: Path) -> None:
    table: CostTable = measure_scene_costs(_config(), tmp_path / "never read.csv", num_items=23)
    assert table.shape.num_items == 23
