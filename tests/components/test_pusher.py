import os
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from components.blessings import write_blessing
from components.pusher import Pusher, delete_old_versions, publish


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
def serving(tmp_path: Path) -> Path:
    return tmp_path / "serving"


def push(tmp_path: Path, *, model_blessed: bool = True, infra_blessed: bool = True) -> PushedModel:
    artifacts = {
        "model": Model(),
        "model_blessing": ModelBlessing(),
        "infra_blessing": InfraBlessing(),
        "pushed_model": PushedModel(),
    }
    for name, artifact in artifacts.items():
        artifact.uri = str(tmp_path / name)
    make_bundle(tmp_path / "model" / "bundle", "student")
    write_blessing(
        artifacts["model_blessing"], is_blessed=model_blessed, reasons=["About accuracy."]
    )
    write_blessing(
        artifacts["infra_blessing"], is_blessed=infra_blessed, reasons=["About serving."]
    )
    Pusher.test_call(
        **artifacts,
        serving_dir=str(tmp_path / "serving"),
        keep_versions=2,
        code_fingerprint="",
    )
    return artifacts["pushed_model"]


def test_a_blessed_model_is_pushed(tmp_path: Path, serving: Path) -> None:
    pushed = push(tmp_path)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_version") == "1"
    assert pushed.get_string_custom_property("pushed_destination") == str(serving / "1")
    assert (serving / "1" / "saved_model.pb").read_text() == "student"


@pytest.mark.parametrize(
    ("verdicts", "reasons"),
    [
        ({"model_blessed": False}, "About accuracy."),
        ({"infra_blessed": False}, "About serving."),
        ({"model_blessed": False, "infra_blessed": False}, "About accuracy.\nAbout serving."),
    ],
)
def test_an_unblessed_model_is_not_pushed_and_the_reason_is_kept(
    tmp_path: Path, serving: Path, verdicts: dict[str, bool], reasons: str
) -> None:
    pushed = push(tmp_path, **verdicts)
    assert pushed.get_int_custom_property("pushed") == 0
    assert pushed.get_string_custom_property("reasons") == reasons
    assert not serving.exists()
