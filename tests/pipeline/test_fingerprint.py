from pathlib import Path

import pytest

from pipeline import fingerprint
from pipeline.fingerprint import source_fingerprint


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of three modules: `ours.top` imports `ours.deep`, and `ours.other` stands alone."""
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "top.py").write_text("import os\n\ndef f():\n    from ours.deep import g\n")
    (folder / "deep.py").write_text("def g(): return 1\n")
    (folder / "other.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(fingerprint, "OUR_PACKAGES", ("ours",))
    return folder


@pytest.mark.parametrize("edited", ["top.py", "deep.py", "__init__.py"])
def test_an_edit_of_code_in_reach_changes_the_fingerprint(package: Path, edited: str) -> None:
    before = source_fingerprint("ours.top")
    (package / edited).write_text((package / edited).read_text() + "# edited\n")
    assert source_fingerprint("ours.top") != before


def test_an_edit_of_other_code_does_not(package: Path) -> None:
    before = source_fingerprint("ours.top")
    (package / "other.py").write_text("X = 2\n")
    assert source_fingerprint("ours.top") == before


def test_several_modules_are_hashed_together(package: Path) -> None:
    before = source_fingerprint("ours.top", "ours.other")
    (package / "other.py").write_text("X = 2\n")
    assert source_fingerprint("ours.top", "ours.other") != before


def test_an_unknown_module_is_an_error(package: Path) -> None:
    with pytest.raises(ValueError, match=r"modules of ours. Received: 'ours.gone'"):
        source_fingerprint("ours.gone")


def test_the_searcher_reaches_the_search_and_the_teacher_does_not() -> None:
    reached = fingerprint.reachable_sources("components.student_searcher")
    assert "adarec_tf.search.searcher" in reached
    assert "adarec_tf.distillation.emd" in reached
    reached = fingerprint.reachable_sources("components.teacher_trainer")
    assert "adarec_tf.training.train_teacher" in reached
    assert "adarec_tf.search.searcher" not in reached
