import os
from pathlib import Path
from typing import Any

import pytest

from adarec_tf.cli import serving_commands
from serving import connection, local_server
from serving.server_options import ServerOptions
from tests.adarec_tf.cli.command_line import invoke


def test_serve_finds_the_newest_push(tmp_path: Path) -> None:
    for age, name in ((300, "old"), (100, "new"), (200, "older")):
        folder = tmp_path / "runs" / name / "serving" / "student"
        (folder / "1").mkdir(parents=True)
        stamp = folder.stat().st_mtime - age
        os.utime(folder, (stamp, stamp))
    (tmp_path / "runs" / "empty" / "serving" / "student").mkdir(parents=True)
    assert serving_commands._pushed_models(None) == Path("runs/new/serving/student")
    assert serving_commands._pushed_models(Path("runs/old")) == Path("runs/old/serving/student")


def test_recommend_without_a_server_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_commands, "_SERVER_START_S", 0.2)
    result = invoke("recommend", "--history", "a,b", "--server", "localhost:1")
    assert result.exit_code == 1
    waiting, error = result.output.splitlines()
    assert waiting == "No server listens at localhost:1 yet: waiting 0.2 s."
    assert error.startswith("Error: ")
    assert "adarec serve" in error


def test_recommend_waits_for_a_server_that_was_started_a_moment_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [connection.Listener.NONE] * 3 + [connection.Listener.OTHER]
    monkeypatch.setattr(connection, "find_listener", lambda address: seen.pop(0))
    serving_commands._wait_for_server("there:8500")
    assert seen == []


def test_recommend_without_its_tls_file_says_which() -> None:
    result = invoke("recommend", "--history", "a", "--tls-ca", "nowhere.pem")
    assert result.exit_code == 1
    assert "The file for TLS should be readable" in result.output
    assert "nowhere.pem" in result.output
    assert "waiting" not in result.output


def test_serve_has_every_option_of_the_server_with_its_default() -> None:
    help_text = " ".join(invoke("serve", "--help").output.split())
    for name, field in ServerOptions.model_fields.items():
        flag = name.removesuffix("s") if isinstance(field.default, tuple) else name
        assert f"--{flag.replace('_', '-')} " in help_text
    assert "--port INTEGER Port to listen on; 0 takes any free one. [default: 8500]" in help_text
    assert "[default: history=1024x10000 k=10000]" in help_text
    assert "--max-threads INTEGER" in help_text
    assert "Undefined" not in help_text


def test_serve_passes_on_the_options_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def record(folder: Path, model_name: str, **options: Any) -> None:
        given.append({"folder": folder, "model_name": model_name, **options})
        raise ValueError("stop here")

    monkeypatch.setattr(local_server, "serve", record)
    invoke("serve", "--model-dir", "models/one")
    options = ("--port", "0", "--drain-s", "1.5", "--limit", "k=5", "--limit", "history=2x3")
    invoke("serve", "--model-dir", "models", "--model-name", "m", *options)
    assert given == [
        {"folder": Path("models/one"), "model_name": "one"},
        {
            "folder": Path("models"),
            "model_name": "m",
            "port": 0,
            "drain_s": 1.5,
            "limits": ("k=5", "history=2x3"),
        },
    ]


def test_versions_are_listed_and_rolled_back(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "scene" / "serving" / "student"
    for version in ("1", "2"):
        (folder / version).mkdir(parents=True)
        (folder / version / "saved_model.pb").write_bytes(b"0" * 20_000)
    result = invoke("rollback")
    assert result.output == "runs/scene/serving/student is back at version 1; withdrawn: 2.\n"
    [withdrawn, newest] = [line.split("\t") for line in invoke("versions").output.splitlines()]
    assert [*withdrawn[:2], *withdrawn[3:]] == ["2", "withdrawn", "-", "rolled back"]
    assert [*newest[:2], *newest[3:]] == ["1", "newest", "0.02 MB"]
