"""The README's figures are those that were measured and stored, and its Python code runs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students import Genotype, build_student
from tests.benchmarks import (
    compare_architectures,
    distill_student,
    run_scene,
    train_teacher,
    transfer_table,
)

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("pattern", "table_rows"),
    [
        ("scene_*.json", run_scene.table_rows),
        ("teacher_*.json", train_teacher.table_rows),
        ("distilled_*.json", distill_student.table_rows),
        ("architectures_*.json", compare_architectures.table_rows),
        ("transfer_*.json", transfer_table.table_rows),
    ],
)
def test_every_stored_run_stands_in_the_readme(
    pattern: str, table_rows: Callable[[dict], list[str]]
) -> None:
    readme = (ROOT / "README.md").read_text().splitlines()
    stored = sorted((ROOT / "tests" / "benchmarks" / "results").glob(pattern))
    assert stored
    for path in stored:
        for row in table_rows(json.loads(path.read_text())):
            assert row in readme, f"{path.name}: {row}"


def test_the_keras_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    [path] = re.findall(r'load_model\("(.*?)"\)', example)
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "max_pool_3"]])
    config = StudentConfig(hidden_dim=4, num_cells=1, num_nodes=2)
    (tmp_path / path).parent.mkdir(parents=True)
    build_student(genotype, config, 50, 8, seed=1).save(tmp_path / path)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    assert names["scores"].shape == (1, 50)
