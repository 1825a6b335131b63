"""What the gate of a recurring run decides. `tests/e2e` looks at real logs."""

import json
from pathlib import Path
from typing import Any

import pytest

from adarec_tf.config.watch import WatchConfig
from adarec_tf.watch.scene_check import NoNewEventsError
from components import scene_watch
from components.artifacts import SceneCheck
from components.baseline import NoBaselineError
from components.scene_watch import SceneWatch


def gate(folder: Path) -> tuple[int, dict[str, Any]]:
    check = SceneCheck()
    check.uri = str(folder / "check")
    SceneWatch.test_call(
        check=check,
        data_path="logs",
        serving_dir="versions",
        watch_config=WatchConfig(trial_epochs=3).to_json(),
        code_fingerprint="",
    )
    found = json.loads((folder / "check" / "check.json").read_text())
    return check.get_int_custom_property("retrain"), found


@pytest.mark.parametrize(
    ("answer", "retrain"), [("fine", 0), ("warm start", 1), ("search again", 1)]
)
def test_it_opens_where_anything_is_to_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, retrain: int
) -> None:
    def watch(data_path: str, serving_dir: Path, config: WatchConfig, say: Any) -> dict[str, Any]:
        assert (data_path, serving_dir, config.trial_epochs) == ("logs", Path("versions"), 3)
        return {"answer": answer, "reasons": ["one"], "num_events": 7}

    monkeypatch.setattr(scene_watch, "watch_scene", watch)
    found = {"answer": answer, "reasons": ["one"], "num_events": 7}
    assert gate(tmp_path) == (retrain, found)


@pytest.mark.parametrize(
    ("error", "retrain", "answer"),
    [(NoBaselineError("none yet"), 1, None), (NoNewEventsError("none new"), 0, "fine")],
)
def test_it_opens_before_the_first_push_and_stays_shut_without_new_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: ValueError, retrain: int, answer: Any
) -> None:
    def watch(*arguments: Any) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(scene_watch, "watch_scene", watch)
    opened, found = gate(tmp_path)
    assert (opened, found.get("answer"), found["reasons"]) == (retrain, answer, [str(error)])


def test_a_log_that_cannot_be_read_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(*arguments: Any) -> dict[str, Any]:
        raise ValueError("The log should have a column.")

    monkeypatch.setattr(scene_watch, "watch_scene", watch)
    with pytest.raises(ValueError, match="should have a column"):
        gate(tmp_path)
