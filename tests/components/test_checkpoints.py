from pathlib import Path

import pytest

from components.checkpoints import file_fingerprint, resumable


def test_the_folder_is_gone_after_success(tmp_path: Path) -> None:
    with resumable(str(tmp_path), "teacher", ["config", 1]) as folder:
        Path(folder, "state").write_text("1")
    assert list(tmp_path.iterdir()) == []


def write_then_stop(checkpoint_dir: Path) -> None:
    with resumable(str(checkpoint_dir), "teacher", ["config", 1]) as folder:
        Path(folder, "state").write_text("1")
        raise KeyboardInterrupt


def test_the_folder_stays_after_a_failure_and_is_found_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_then_stop(tmp_path)
    with resumable(str(tmp_path), "teacher", ["config", 1]) as again:
        assert Path(again, "state").read_text() == "1"


@pytest.mark.parametrize(
    "identity", [("config", 2), ("other config", 1), ("config", 1, "data"), ("config1",)]
)
def test_another_identity_never_resumes(tmp_path: Path, identity: tuple[str | int, ...]) -> None:
    with resumable(str(tmp_path), "teacher", ["config", 1]) as folder:
        with resumable(str(tmp_path), "teacher", identity) as other:
            assert other != folder
        with resumable(str(tmp_path), "search", ["config", 1]) as other:
            assert other != folder


def test_another_content_of_a_file_never_resumes(tmp_path: Path) -> None:
    file, folders = tmp_path / "model", set()
    for content in ("one", "two", "one"):
        file.write_text(content)
        with resumable(str(tmp_path), "teacher", ["config"], [str(file)]) as folder:
            folders.add(folder)
    assert len(folders) == 2


def test_the_fingerprint_of_a_file_is_of_its_content(tmp_path: Path) -> None:
    for name, content in (("a", "same"), ("b", "same"), ("c", "different")):
        (tmp_path / name).write_text(content)
    fingerprints = [file_fingerprint(str(tmp_path / name)) for name in "abc"]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_a_worker_leaves_the_folder_to_its_owner(tmp_path: Path) -> None:
    with resumable(str(tmp_path), "teacher", ["config", 1]) as folder:
        with resumable(str(tmp_path), "teacher", ["config", 1], is_owner=False) as same:
            assert same == folder
        assert Path(folder).exists()
    assert not Path(folder).exists()
