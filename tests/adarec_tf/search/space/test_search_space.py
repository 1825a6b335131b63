import dataclasses
import functools
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.export.profile import count_costs
from adarec_tf.models.students.cost_table import CostTable
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.space.search_space import SearchSpace, given_genotype, reachable_spaces
from tests.adarec_tf.search.hand_made_costs import COUNTED
from tests.adarec_tf.search.hand_made_costs import STUDENT as HAND_MADE_STUDENT

GENOTYPE = Genotype.from_primitives(2, [["conv_3", "none", "none"], ["skip", "skip", "conv_5"]])
LENGTH, HIDDEN_DIM = 6, 8
STUDENT = StudentConfig(hidden_dim=HIDDEN_DIM, num_cells=2, num_nodes=2)
MACS = LENGTH * (3 + 5) * HIDDEN_DIM**2


@functools.cache
def _costs(hidden_dim: int = HIDDEN_DIM, num_cells: int = 2) -> CostTable:
    teacher = build_teacher(NextItNetConfig(hidden_dim=4, num_blocks=1), 11, LENGTH, seed=1)
    student = StudentConfig(hidden_dim=hidden_dim, num_cells=num_cells, num_nodes=2)
    return count_costs(teacher, student, LENGTH)


def _spaces(**settings: Any) -> list[SearchSpace]:
    search = SearchConfig(**settings)
    widths = search.hidden_dims or (HIDDEN_DIM,)
    return reachable_spaces([_costs(width) for width in widths], STUDENT, search)


def test_without_widths_there_is_the_student_s_alone_and_no_one_speaks_of_it() -> None:
    [space] = _spaces()
    assert space.student == STUDENT
    assert (space.num_alike, space.num_optional, space.record) == (2, 0, {})
    assert space.folder("search") == "search"
    assert space.named(GENOTYPE) == GENOTYPE


def test_each_width_has_its_costs_folder_and_name() -> None:
    spaces = _spaces(hidden_dims=(4, 16), alphas="per_cell", min_cells=1)
    assert [space.student.hidden_dim for space in spaces] == [4, 16]
    assert [space.costs.shape.hidden_dim for space in spaces] == [4, 16]
    assert [(space.num_alike, space.num_optional) for space in spaces] == [(1, 1)] * 2
    assert [space.folder("search") for space in spaces] == ["search/width_4", "search/width_16"]
    assert [space.named(GENOTYPE).hidden_dim for space in spaces] == [4, 16]
    assert spaces[1].record == {"hidden_dim": 16}


def test_widths_that_no_budget_reaches_are_left_out_and_the_nearest_is_named_if_all_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    widths = {"hidden_dims": (8, 4)}
    wide, narrow = _spaces(**widths)
    least = [int(space.costs.rest.served_bytes) for space in (wide, narrow)]
    with caplog.at_level(logging.INFO, "adarec_tf"):
        [space] = _spaces(**widths, max_bytes=least[1])
    assert space.student.hidden_dim == 4
    assert re.search(rf"left out hidden_dim=8: .* at least {least[0]},", caplog.text)
    # A cell less takes less.
    saved = int(wide.costs.cell.served_bytes)
    assert len(_spaces(**widths, max_bytes=least[0] - saved, min_cells=1)) == 2
    with pytest.raises(ValueError, match=rf"should be at least {least[1]}, "):
        _spaces(**widths, max_bytes=least[1] - 1)


def test_costs_of_other_widths_or_without_the_latencies_that_count_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"each hidden_dim of \(4, 8\)\. Received: .* \(4,\)\."):
        reachable_spaces([COUNTED], HAND_MADE_STUDENT, SearchConfig(hidden_dims=(4, 8)))
    with pytest.raises(ValueError, match="`costs` should have latencies"):
        reachable_spaces([COUNTED], HAND_MADE_STUDENT, SearchConfig(latency_budget_ms=1.0))


def _given(folder: Path, genotype: Genotype, num_cells: int = 2, **settings: Any) -> Genotype:
    path = folder / "genotype.json"
    path.write_text(genotype.to_json())
    # A front of latencies is not asked for where there is no search.
    search = SearchConfig(genotype=str(path), front_size=3, **settings)
    student = STUDENT.replace(num_cells=num_cells)
    costs = _costs(genotype.hidden_dim or HIDDEN_DIM, num_cells)
    return given_genotype(costs, student, search)


def test_a_given_genotype_is_taken_if_it_keeps_its_budget(tmp_path: Path) -> None:
    assert _given(tmp_path, GENOTYPE) == GENOTYPE
    assert _given(tmp_path, GENOTYPE, max_macs=MACS) == GENOTYPE
    with pytest.raises(ValueError, match=rf"keep search.max_macs={MACS - 1}. .*macs={MACS},"):
        _given(tmp_path, GENOTYPE, max_macs=MACS - 1)


def test_a_given_genotype_of_another_size_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should have num_cells=3 .*Received: .* num_cells=2"):
        _given(tmp_path, GENOTYPE, num_cells=3)
    # Unless the depth is searched.
    assert _given(tmp_path, GENOTYPE, num_cells=3, min_cells=2) == GENOTYPE
    with pytest.raises(ValueError, match=r"num_cells=3 to 4 .* and `search\.min_cells` say"):
        _given(tmp_path, GENOTYPE, num_cells=4, min_cells=3)


def test_a_given_genotype_of_a_searched_width_costs_what_that_width_does(tmp_path: Path) -> None:
    wide = dataclasses.replace(GENOTYPE, hidden_dim=2 * HIDDEN_DIM)
    assert _given(tmp_path, wide, max_macs=4 * MACS) == wide
    with pytest.raises(ValueError, match=rf"Received: .* macs={4 * MACS},"):
        _given(tmp_path, wide, max_macs=4 * MACS - 1)
