import logging
import re

import keras
import pytest

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.space.frames import Frame, reachable_frames

GENOTYPE = Genotype.from_primitives(2, [["max_pool_3", "none", "none"]])
STUDENT = StudentConfig(hidden_dim=8, num_cells=2, num_nodes=2)


@pytest.fixture(scope="module")
def teacher() -> keras.Model:
    return build_teacher(NextItNetConfig(hidden_dim=4, num_blocks=1), 11, 6, seed=1)


def _frames(teacher: keras.Model, **search: object) -> list[Frame]:
    settings = SearchConfig(**search)  # type: ignore[arg-type]
    return reachable_frames(teacher, STUDENT, settings, max_length=6, kept_dir="/nowhere")


def test_without_widths_there_is_the_student_s_alone_and_no_one_speaks_of_it(
    teacher: keras.Model,
) -> None:
    [frame] = _frames(teacher)
    assert frame.student == STUDENT
    assert (frame.num_alike, frame.num_optional, frame.record) == (2, 0, {})
    assert frame.folder("search") == "search"
    assert frame.named(GENOTYPE) == GENOTYPE


def test_each_width_has_its_costs_folder_and_name(teacher: keras.Model) -> None:
    frames = _frames(teacher, hidden_dims=(4, 16), alphas="per_cell", min_cells=1)
    assert [frame.student.hidden_dim for frame in frames] == [4, 16]
    assert [frame.costs.frame.hidden_dim for frame in frames] == [4, 16]
    assert [(frame.num_alike, frame.num_optional) for frame in frames] == [(1, 1)] * 2
    assert [frame.folder("search") for frame in frames] == ["search/width_4", "search/width_16"]
    assert [frame.named(GENOTYPE).hidden_dim for frame in frames] == [4, 16]
    assert frames[1].record == {"hidden_dim": 16}


def test_widths_that_no_budget_reaches_are_left_out_and_the_nearest_is_named_if_all_are(
    teacher: keras.Model, caplog: pytest.LogCaptureFixture
) -> None:
    widths = {"hidden_dims": (8, 4)}
    wide, narrow = _frames(teacher, **widths)
    least = [int(frame.costs.rest.served_bytes) for frame in (wide, narrow)]
    with caplog.at_level(logging.INFO, "adarec_tf"):
        [frame] = _frames(teacher, **widths, max_bytes=least[1])
    assert frame.student.hidden_dim == 4
    assert re.search(rf"left out hidden_dim=8: .* at least {least[0]},", caplog.text)
    # A cell less takes less.
    saved = int(wide.costs.cell.served_bytes)
    assert len(_frames(teacher, **widths, max_bytes=least[0] - saved, min_cells=1)) == 2
    with pytest.raises(ValueError, match=rf"should be at least {least[1]}, "):
        _frames(teacher, **widths, max_bytes=least[1] - 1)
