import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adarec_tf.export.versions import (
    BASELINE_DIR,
    delete_old_versions,
    find_versions,
    list_versions,
    publish,
    roll_back,
    withdraw,
)


def make_bundle(path: Path, content: str) -> Path:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_text(content)
    (path / "variables" / "variables.index").write_text("index")
    return path


def versions(serving_dir: Path) -> list[str]:
    return sorted(path.name for path in serving_dir.iterdir() if not path.name.startswith("."))


def test_versions_are_numbered_from_one(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    for number in (1, 2):
        bundle = make_bundle(tmp_path / f"bundle{number}", content=str(number))
        assert publish(bundle, serving) == number
    assert versions(serving) == ["1", "2"]
    assert (serving / "2" / "saved_model.pb").read_text() == "2"
    assert (serving / "2" / "variables" / "variables.index").exists()


def test_the_same_bundle_again_is_the_same_version(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    bundle = make_bundle(tmp_path / "bundle", "same")
    assert publish(bundle, serving) == publish(bundle, serving) == 1
    assert versions(serving) == ["1"]


def test_what_is_pushed_beside_a_bundle_is_no_part_of_it(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    bundle = make_bundle(tmp_path / "bundle", "same")
    for number in (1, 2):
        baseline = make_bundle(tmp_path / f"baseline{number}", content=f"figures {number}")
        assert publish(bundle, serving, baseline) == 1
    assert (serving / "1" / BASELINE_DIR / "saved_model.pb").read_text() == "figures 1"
    assert (serving / "1" / "saved_model.pb").read_text() == "same"


def test_files_are_compared_by_their_bytes(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    bundle = make_bundle(tmp_path / "bundle", "one")
    file = bundle / "saved_model.pb"
    before = file.stat()
    publish(bundle, serving)
    file.write_text("two")
    for path in (file, serving / "1" / "saved_model.pb"):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert publish(bundle, serving) == 2


def test_a_number_once_used_is_never_used_again(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    first, second = (make_bundle(tmp_path / name, name) for name in ("first", "second"))
    assert publish(first, serving) == 1
    assert publish(second, serving) == 2
    os.rename(serving / "2", tmp_path / "rolled back")
    assert publish(second, serving) == 3


def test_a_number_of_an_interrupted_copy_is_not_used_again(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    (serving / ".tmp-4").mkdir(parents=True)
    (serving / "2").mkdir()
    (serving / "7").write_text("a file with a number counts too")
    assert publish(make_bundle(tmp_path / "bundle", "new"), serving) == 8


def test_a_push_killed_in_its_copy_is_made_up_for(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    first, second = (make_bundle(tmp_path / name, name) for name in ("first", "second"))
    publish(first, serving)
    script = (
        "import os, signal, sys\n"
        "from adarec_tf.export import versions\n"
        "versions.Path.rename = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        "versions.publish(*sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, second, serving], check=False)
    assert done.returncode == -signal.SIGKILL
    assert find_versions(serving) == [1]  # the one served goes on
    assert publish(second, serving) == 3
    delete_old_versions(serving, 2)
    assert sorted(path.name for path in serving.iterdir()) == [".last_version", "1", "3"]
    assert (serving / "3" / "saved_model.pb").read_text() == "second"


def test_a_version_appears_by_a_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = tmp_path / "serving"
    rename = Path.rename

    def look_then_rename(self: Path, target: Path) -> Path:
        # Everything is in place under the hidden name, nothing under the number.
        assert sorted(p.name for p in self.iterdir()) == ["saved_model.pb", "variables"]
        assert self.name == ".tmp-1"
        assert not target.exists()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", look_then_rename)
    publish(make_bundle(tmp_path / "bundle", "new"), serving)
    assert versions(serving) == ["1"]


def test_a_copy_that_fails_leaves_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = tmp_path / "serving"
    bundle = make_bundle(tmp_path / "bundle", "new")

    def disk_full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", disk_full)
        with pytest.raises(OSError, match="No space left"):
            publish(bundle, serving)
    assert versions(serving) == []
    assert publish(bundle, serving) == 2


def test_the_newest_versions_are_kept(tmp_path: Path) -> None:
    for name in ("2", "9", "10", ".tmp-11", "notes"):
        (tmp_path / name).mkdir()
    assert delete_old_versions(tmp_path, keep_versions=2) == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "9", "notes"]


@pytest.fixture
def three_versions(tmp_path: Path) -> Path:
    serving = tmp_path / "serving"
    for number in (1, 2, 3):
        publish(make_bundle(tmp_path / f"bundle{number}", content=str(number)), serving)
    return serving


def test_a_withdrawn_version_is_gone_and_its_number_is_not_used_again(
    tmp_path: Path, three_versions: Path
) -> None:
    withdraw(three_versions, 3, "It did not answer.")
    (three_versions / ".last_version").unlink()
    assert versions(three_versions) == ["1", "2"]
    assert publish(tmp_path / "bundle3", three_versions) == 4


def test_versions_are_listed_with_what_became_of_them(three_versions: Path) -> None:
    withdraw(three_versions, 3, "It did not answer.")
    listed = list_versions(three_versions)
    assert [(pushed.version, pushed.state) for pushed in listed] == [
        (3, "withdrawn"),
        (2, "newest"),
        (1, "kept"),
    ]
    assert [pushed.size_bytes for pushed in listed] == [0, 6, 6]
    assert [pushed.note for pushed in listed] == ["It did not answer.", "", ""]
    assert listed[1].pushed_at == (three_versions / "2").stat().st_mtime


def test_a_rollback_goes_one_version_back_or_to_the_one_named(three_versions: Path) -> None:
    assert roll_back(three_versions) == [3]
    assert find_versions(three_versions) == [1, 2]
    assert list_versions(three_versions)[0].note == "rolled back"


def test_a_rollback_to_a_version_withdraws_all_newer_ones(three_versions: Path) -> None:
    assert roll_back(three_versions, to=1) == [3, 2]
    assert find_versions(three_versions) == [1]
    with pytest.raises(ValueError, match=r"there is none. Received: the one before"):
        roll_back(three_versions)


@pytest.mark.parametrize("to", [3, 4, -1])
def test_a_rollback_to_nothing_older_is_refused(three_versions: Path, to: int) -> None:
    with pytest.raises(ValueError, match=rf"before the newest one in .*: 1, 2. Received: {to}\."):
        roll_back(three_versions, to)
    assert find_versions(three_versions) == [1, 2, 3]


def test_a_version_disappears_by_a_rename(
    three_versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[Path] = []

    def look_then_delete(path: Path) -> None:
        assert find_versions(three_versions) == [1, 2]
        assert (path / "saved_model.pb").exists()
        deleted.append(path)

    monkeypatch.setattr(shutil, "rmtree", look_then_delete)
    withdraw(three_versions, 3, "why")
    assert [path.name for path in deleted] == [".tmp-3"]
