from pathlib import Path

import pytest
from matplotlib.figure import Figure

from adarec_tf.report.picture_file import write_picture


def test_a_figure_becomes_a_png_in_a_folder_that_is_made(tmp_path: Path) -> None:
    write_picture(Figure(figsize=(1, 1)), tmp_path / "new" / "picture.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.png"]
    assert (tmp_path / "new" / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_half_written_takes_the_place_of_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"the one before")

    def fail_half_way(figure: Figure, target: Path, **kwargs: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail_half_way)
    with pytest.raises(OSError, match="disk full"):
        write_picture(Figure(figsize=(1, 1)), path)
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]
