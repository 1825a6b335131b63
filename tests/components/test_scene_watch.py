"""What is compared with what, and what the gate of a recurring run decides.

`tests/e2e` looks at real logs.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.watch import WatchConfig
from adarec_tf.data.log.readers import InteractionColumns
from adarec_tf.watch.scene_check import NoNewEventsError
from components import scene_watch
from components.artifacts import SceneCheck
from components.baseline import NoBaselineError
from components.scene_watch import SceneWatch


def test_what_was_pushed_is_compared_with_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["data.user_column=visitor", "student.hidden_dim=48", "training.max_epochs=5"]
    config = PipelineConfig(scene="shop", seed=7).override(given)
    baseline = SimpleNamespace(
        **{"version": 4, "bundle": "bundle", "since": 12.0, "ndcg": "ndcg", "config": config},
        **{"genotype": "kept", "runner_up": "other"},
        **{"schema_path": "schema", "statistics_path": "statistics"},
    )
    found = SimpleNamespace(answer="warm start", to_dict=lambda: {"answer": found.answer})
    found.with_anomalies = found.with_trial = lambda given: told.append(given) or found
    told: list[Any] = []
    calls: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def record(name: str, answer: Any) -> Any:
        def called(*arguments: Any, **options: Any) -> Any:
            calls[name] = arguments, options
            return answer

        return called

    log = SimpleNamespace(time_scale=1000)
    parts = {
        "read_baseline": baseline,
        "order_log": log,
        "list_log_files": "files",
        "check_scene": found,
        "find_anomalies": ["an anomaly"],
        "compare_genotypes": "a trial",
    }
    for name, answer in parts.items():
        monkeypatch.setattr(scene_watch, name, record(name, answer))
    for owner, method in (("Recommender", "load"), ("ItemVocabulary", "read")):
        monkeypatch.setattr(getattr(scene_watch, owner), method, lambda path: path)
    monkeypatch.setattr(scene_watch.Dataset, "from_ordered", lambda *given: given)

    limits = WatchConfig(trial_epochs=3)
    said = scene_watch.watch_scene("logs", Path("versions"), limits, lambda text: None)
    assert (said["version"], said["log"], said["answer"]) == (4, "logs", "warm start")
    assert told == [["an anomaly"], "a trial"]
    assert calls["read_baseline"][0] == (Path("versions"),)
    assert calls["order_log"][0] == ("logs", config.data, config.spans)
    assert calls["check_scene"] == (
        (log, "bundle", "bundle/assets/vocabulary.txt"),
        {"since": 12.0, "blessed": "ndcg", "data": config.data, "config": limits, "seed": 7},
    )
    assert calls["find_anomalies"] == (
        ("files", InteractionColumns.of_config(config.data)),
        {
            **{"since": 12.0, "time_scale": 1000},
            **{"schema_path": "schema", "statistics_path": "statistics"},
        },
    )
    assert calls["compare_genotypes"] == (
        ("kept", "other", (log, config.data)),
        {"student": config.student, "training": config.training, "epochs": 3, "seed": 7},
    )


@pytest.mark.parametrize(("answer", "other"), [("fine", "other"), ("warm start", None)])
def test_nothing_is_trained_while_all_is_fine_or_without_a_runner_up(
    monkeypatch: pytest.MonkeyPatch, answer: str, other: str | None
) -> None:
    baseline = MagicMock(runner_up=other, bundle="bundle")
    found = MagicMock(answer=answer, to_dict=dict)
    found.with_anomalies.return_value = found
    for name in ("order_log", "list_log_files", "find_anomalies", "Recommender", "ItemVocabulary"):
        monkeypatch.setattr(scene_watch, name, MagicMock())
    monkeypatch.setattr(scene_watch, "InteractionColumns", MagicMock())
    monkeypatch.setattr(scene_watch, "read_baseline", lambda folder: baseline)
    monkeypatch.setattr(scene_watch, "check_scene", lambda *given, **options: found)
    train = MagicMock()
    monkeypatch.setattr(scene_watch, "compare_genotypes", train)
    scene_watch.watch_scene("logs", Path("versions"), WatchConfig(), lambda text: None)
    train.assert_not_called()


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
