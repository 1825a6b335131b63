from pathlib import Path

import pytest

from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.log.interactions import read_interactions
from adarec_tf.data.log.readers import list_input_files
from pipeline.configs import custom_config
from pipeline.scene_data import check_data_path, locate_data


def test_a_scene_that_cannot_be_generated_needs_a_file() -> None:
    with pytest.raises(ValueError, match=r"'beauty' should have its log given with --data"):
        check_data_path("beauty", None)
    check_data_path("sample", None)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"existing file or folder. Received: .*gone.csv"):
        check_data_path("sample", tmp_path / "gone.csv")
    (tmp_path / "log.csv").touch()
    check_data_path("sample", tmp_path)


def test_a_file_that_is_no_log_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "log.xlsx").touch()
    with pytest.raises(ValueError, match=r"log.xlsx"):
        check_data_path("custom", tmp_path / "log.xlsx")


def test_daily_folders_are_chosen_before_anything_starts(tmp_path: Path) -> None:
    pattern = tmp_path / "Click log" / "{YYYY}{MM}{DD}.csv"
    with pytest.raises(ValueError, match="should match files of a log"):
        check_data_path("custom", pattern)
    pattern.parent.mkdir()
    (pattern.parent / "20261130.csv").touch()
    assert check_data_path("custom", pattern) == "2026-11-30: 1 span, 1 file"
    assert locate_data("custom", pattern, tmp_path) == str(pattern)
    assert custom_config(pattern).scene == "click_log"
    with pytest.raises(ValueError, match=r"`spans.last` should be .* Received: 2026-12-01"):
        check_data_path("custom", pattern, SpansConfig(last="2026-12-01"))


def test_spans_of_a_log_without_daily_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").touch()
    for scene, path in (("custom", tmp_path / "log.csv"), ("sample", None)):
        with pytest.raises(ValueError, match="`spans` should be left as it is"):
            check_data_path(scene, path, SpansConfig(window=2))
        assert check_data_path(scene, path) == ""


def test_a_given_file_is_used_as_it_is(tmp_path: Path) -> None:
    assert locate_data("smoke", tmp_path / "log.csv", tmp_path / "data") == str(
        tmp_path / "log.csv"
    )
    assert not (tmp_path / "data").exists()


def test_a_generated_log_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    path = Path(locate_data("smoke", None, tmp_path / "data"))
    first = path.read_bytes()
    assert Path(locate_data("smoke", None, tmp_path / "data")).read_bytes() == first
    [file] = list_input_files(str(path))
    users = {user for block in read_interactions(file) for user in block["user_id"].to_pylist()}
    assert len(users) == 200
