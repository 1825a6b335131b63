from pathlib import Path

import pytest

from adarec_tf.data.storage.atomic_file import written_whole


def test_a_file_has_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path, scratch = tmp_path / "file", tmp_path / "scratch"
    scratch.mkdir()
    with written_whole(str(path), str(scratch)) as part:
        Path(part).write_text("begun")
        assert not path.exists()
        Path(part).write_text("complete")
    assert path.read_text() == "complete"
    assert list(scratch.iterdir()) == []


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("complete")

    def write() -> None:
        with written_whole(str(path), str(tmp_path)) as part:
            Path(part).write_text("begun")
            raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        write()
    assert path.read_text() == "complete"


def test_two_writers_at_once_never_share_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with (
        written_whole(str(path), str(tmp_path)) as first,
        written_whole(str(path), str(tmp_path)) as second,
    ):
        Path(first).write_text("complete")
        Path(second).write_text("begun")
        Path(second).write_text("complete")
    assert path.read_text() == "complete"
