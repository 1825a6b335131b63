import dataclasses
from pathlib import Path
from typing import Any

import keras
import pytest

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.selection.genotype_io import given_genotype, read_genotype

GENOTYPE = Genotype.from_primitives(2, [["conv_3", "none", "none"], ["skip", "skip", "conv_5"]])
LENGTH, HIDDEN_DIM = 6, 4
MACS = LENGTH * (3 + 5) * HIDDEN_DIM**2


@pytest.fixture(scope="module")
def teacher() -> keras.Model:
    return build_teacher(NextItNetConfig(hidden_dim=4, num_blocks=1), 11, LENGTH, seed=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "genotype.json"
    path.write_text(GENOTYPE.to_json())
    return path


def _given(
    teacher: keras.Model, path: Path, num_cells: int = 2, max_macs: int = 0, **search: Any
) -> Genotype:
    return given_genotype(
        teacher,
        StudentConfig(hidden_dim=HIDDEN_DIM, num_cells=num_cells, num_nodes=2),
        SearchConfig(genotype=str(path), max_macs=max_macs, front_size=3, **search),
        max_length=LENGTH,
        kept_path=str(path.parent / "costs.json"),
    )


def test_a_genotype_that_keeps_its_budget_is_taken(teacher: keras.Model, path: Path) -> None:
    assert _given(teacher, path) == _given(teacher, path, max_macs=MACS) == GENOTYPE
    assert list(path.parent.iterdir()) == [path]  # no latency was measured


def test_a_genotype_that_overruns_a_budget_is_an_error(teacher: keras.Model, path: Path) -> None:
    with pytest.raises(ValueError, match=rf"keep search.max_macs={MACS - 1}. .*macs={MACS},"):
        _given(teacher, path, max_macs=MACS - 1)


def test_a_genotype_of_another_frame_is_an_error(teacher: keras.Model, path: Path) -> None:
    with pytest.raises(ValueError, match=r"should have num_cells=3 .*Received: .* num_cells=2"):
        _given(teacher, path, num_cells=3)


def test_a_genotype_of_fewer_cells_is_one_of_a_searched_depth(
    teacher: keras.Model, path: Path
) -> None:
    assert _given(teacher, path, num_cells=3, min_cells=2) == GENOTYPE
    with pytest.raises(ValueError, match=r"num_cells=3 to 4 .* and `search\.min_cells` say"):
        _given(teacher, path, num_cells=4, min_cells=3)


def test_a_genotype_of_a_searched_width_costs_what_that_width_does(
    teacher: keras.Model, path: Path
) -> None:
    wide = dataclasses.replace(GENOTYPE, hidden_dim=2 * HIDDEN_DIM)
    path.write_text(wide.to_json())
    assert _given(teacher, path, max_macs=4 * MACS) == wide
    with pytest.raises(ValueError, match=rf"Received: .* macs={4 * MACS},"):
        _given(teacher, path, max_macs=4 * MACS - 1)


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        (GENOTYPE.to_json(), ":1", "a number behind a front only"),
        ("{", "", "a JSON file"),
        ("{}", "", "format_version 1"),
        ('{"students": [{}, {}]}', "", r"which of the 2 students .*json:1. Received: .*json\."),
        ('{"students": [{}, {}]}', ":3", r"which of the 2 students .*json:1. Received: .*json:3\."),
    ],
)
def test_what_is_no_genotype_is_an_error(
    text: str, number: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "front.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_genotype(f"{path}{number}")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"existing file. Received: .*gone.json:2\."):
        read_genotype(f"{tmp_path}/gone.json:2")
