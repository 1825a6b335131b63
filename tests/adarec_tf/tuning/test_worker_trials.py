"""Trials that several workers train together."""

import contextlib
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adarec_tf.tuning import worker_trials
from adarec_tf.tuning.worker_trials import run_together
from tests.adarec_tf.device_processes import start_workers, wait
from tests.adarec_tf.trials_on_workers import CANDIDATES, FIGURES, LOST, trial_run

SCRIPT = Path(__file__).parents[1] / "trials_on_workers.py"
Calls = list[tuple[int, int]]


def kill_at(number: int, folder: Path) -> Calls:
    """The trials of one process that is killed in one of them."""
    calls: Calls = []

    def train(candidate: int, epochs: int) -> float:
        calls.append((candidate, epochs))
        if len(calls) == number:
            raise KeyboardInterrupt
        if candidate == LOST:
            raise ValueError("lost")
        return FIGURES[candidate]

    with contextlib.suppress(KeyboardInterrupt):
        trial_run(folder)(train)
    return calls


@pytest.mark.slow
def test_workers_train_what_the_chief_goes_on_with_and_agree(tmp_path: Path) -> None:
    expected = kill_at(0, tmp_path / "whole")
    done = kill_at(2, tmp_path / "chief")
    wait(start_workers(SCRIPT, tmp_path, ["chief", "other"]), tmp_path)
    chief, other = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("chief", "other"))
    assert chief["calls"] == other["calls"] == [list(call) for call in expected[1:]]
    assert done == expected[:2]
    assert chief["best"] == other["best"] == FIGURES.index(max(FIGURES))
    assert chief["num_trials"] == len(expected)
    assert not (tmp_path / "other").exists()  # the chief alone writes


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the trials of a chief, and then of a worker that hears what it said."""
    said: deque[dict[str, float]] = deque()

    def values_of_chief(strategy: Any, values: dict[str, float]) -> dict[str, float]:
        if strategy.is_chief:
            said.append(values)
            return values
        return said.popleft()

    monkeypatch.setattr(worker_trials, "values_of_chief", values_of_chief)
    monkeypatch.setattr(worker_trials, "is_chief", lambda strategy: strategy.is_chief)
    monkeypatch.setattr(worker_trials, "worker_name", lambda strategy: "worker-0")

    def run(run_all: Any, train: Any, is_chief: bool) -> Any:
        found = run_together(run_all, train, SimpleNamespace(is_chief=is_chief))
        assert is_chief or not said  # it has heard all
        return found

    return run


def test_the_others_train_what_the_chief_tries_and_choose_alike(
    workers: Callable[..., Any], tmp_path: Path
) -> None:
    calls: dict[bool, Calls] = {True: [], False: []}

    def train_as(is_chief: bool) -> Callable[[int, int], float]:
        def train(candidate: int, epochs: int) -> float:
            calls[is_chief].append((candidate, epochs))
            if candidate == LOST:
                raise ValueError("lost")
            return FIGURES[candidate] if is_chief else 0.0

        return train

    best, trials = workers(trial_run(tmp_path), train_as(True), is_chief=True)
    assert workers(None, train_as(False), is_chief=False) == (best, [])
    assert best == FIGURES.index(max(FIGURES)) > 0
    assert calls[True] == calls[False]
    assert len(trials) == len(calls[True]) > len(CANDIDATES)


def test_where_all_trials_fail_all_workers_stop(
    workers: Callable[..., Any], tmp_path: Path
) -> None:
    def train(candidate: int, epochs: int) -> float:
        raise ValueError("lost")

    for is_chief, received in ((True, "lost"), (False, "none; see the log of the chief")):
        with pytest.raises(ValueError, match=f"One trial should succeed .* Received: .*{received}"):
            workers(trial_run(tmp_path), train, is_chief=is_chief)
