import os
import sys
from pathlib import Path

import pytest

from adarec_tf.report.command_name import command_name


def make_program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_what_the_shell_finds_needs_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program(tmp_path / "bin" / "adarec")
    monkeypatch.setenv("PATH", os.path.dirname(program))
    assert command_name(program) == "adarec"


@pytest.mark.parametrize("other_on_path", [False, True])
def test_what_the_shell_does_not_find_is_named_from_the_working_directory(
    other_on_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = make_program(tmp_path / "project" / ".venv" / "bin" / "adarec")
    other = make_program(tmp_path / "other" / "adarec")
    monkeypatch.setenv("PATH", os.path.dirname(other) if other_on_path else "")
    monkeypatch.chdir(tmp_path / "project")
    assert command_name(program) == command_name(".venv/bin/adarec") == ".venv/bin/adarec"
    monkeypatch.chdir(tmp_path / "project" / ".venv" / "bin")
    assert command_name(program) == "./adarec"
    monkeypatch.chdir(tmp_path / "other")
    assert command_name(program) == program


def test_a_path_with_a_space_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_program(tmp_path / "a b" / "adarec")
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    assert command_name(program) == "'a b/adarec'"


def test_the_module_is_called_by_the_running_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = make_program(tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert command_name("/source/adarec_tf/__main__.py") == ".venv/bin/python -m adarec_tf"
    monkeypatch.setenv("PATH", os.path.dirname(python))
    assert command_name("/source/adarec_tf/__main__.py") == "python -m adarec_tf"
