"""Successive halving with figures made up in place of trainings."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adarec_tf.config.recipe import Trial
from adarec_tf.training.progress import Progress
from adarec_tf.tuning import trials
from adarec_tf.tuning.trials import Candidate, Rung, halving_rungs, run_trials, with_pairs

sys.path.append(str(Path(__file__).parents[1] / "training"))  # which other processes have as well
from side_by_side_tasks import FIGURES, made_up_trial, slow_trial

ALONE = [Candidate("profile", {}), *(Candidate(name, {name: 1}) for name in "abcde")]
CANDIDATES = with_pairs(ALONE)
RUNGS = halving_rungs(len(ALONE), 24)
BOTH = [one.name for one in CANDIDATES].index("b, c")
# In the first round `b` is best and `c` second; `c` gains more from a longer training. The first,
# which is fourth, is measured in the second round as well, and `b` and `c` together.
CALLS = [*((number, 3) for number in range(6)), (0, 10), (2, 10), (3, 10), (BOTH, 10)]

Train = Callable[[int, int], float]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, which goes on where a test says so."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(trials, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def run(train: Train, folder: Path, **options: Any) -> tuple[int, list[Trial]]:
    given = {"candidates": CANDIDATES, "rungs": RUNGS, "margin": 1.01, "seed": 1, **options}
    return run_trials(train=train, directory=str(folder), **given)


def figures_of(*scores: float) -> Train:
    """What candidates reach, however long they are trained."""
    return lambda candidate, epochs: scores[candidate]


@pytest.mark.slow
def test_several_processes_try_what_one_does(tmp_path: Path) -> None:
    alone = run(made_up_trial, tmp_path / "1")
    assert run(made_up_trial, tmp_path / "2", num_processes=2) == alone
    assert [trial.ndcg for trial in alone[1]][:3] == [0.2, None, 0.5]


def test_what_is_given_away_is_what_is_left_of_each_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[tuple[int, int]]] = []

    @contextlib.contextmanager
    def note(train: Train, tasks: list[tuple[int, int]], num_processes: int) -> Iterator[Train]:
        assert num_processes == 3
        given.append(tasks)
        yield train

    def interrupt(candidate: int, epochs: int) -> float:
        if (candidate, epochs) == (3, 3):
            raise KeyboardInterrupt
        return FIGURES[epochs][candidate]

    monkeypatch.setattr(trials, "side_by_side", note)
    with pytest.raises(KeyboardInterrupt):
        run(interrupt, tmp_path, num_processes=3)
    run(lambda candidate, epochs: FIGURES[epochs][candidate], tmp_path, num_processes=3)
    assert given == [CALLS[:6], CALLS[3:6], CALLS[6:]]


@pytest.mark.slow
def test_the_seconds_of_a_trial_are_those_of_its_training_and_not_of_waiting(
    tmp_path: Path,
) -> None:
    """The clock of other processes is not the one that stands still here."""
    _, done = run(slow_trial, tmp_path, num_processes=2, rungs=[Rung(3, 3)])
    here, elsewhere, also_here = (trial.seconds for trial in done)
    assert here == also_here == 0.0
    assert elsewhere >= 0.3


def test_all_are_tried_in_order_and_the_best_again_for_longer(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    calls = []

    def train(candidate: int, epochs: int) -> float:
        calls.append((candidate, epochs))
        clock.seconds += 10 * candidate + 0.25 * epochs
        return FIGURES[epochs][candidate]

    best, done = run(train, tmp_path)
    assert calls == CALLS
    assert best == 3
    assert done == [
        Trial(
            candidate=CANDIDATES[number].name,
            epochs=epochs,
            ndcg=FIGURES[epochs][number],
            seconds=round(10 * number + 0.25 * epochs, 1),
        )
        for number, epochs in CALLS
    ]


@pytest.mark.parametrize(
    ("alone", "expected"),
    [
        ((0.2, 0.3, 0.5, 0.4), ["profile", "b", "b, c"]),
        ((0.2, 0.3, 0.5, 0.1), ["profile", "b", "a, b"]),
        ((0.2, 0.1, 0.5, 0.1), ["profile", "b", "a"]),  # no other is better than the first
        ((0.6, 0.1, 0.5, 0.4), ["profile", "b", "c"]),
    ],
)
def test_the_two_best_that_are_better_than_the_first_are_tried_together(
    tmp_path: Path, alone: tuple[float, ...], expected: list[str]
) -> None:
    candidates, rungs = with_pairs(ALONE[:4]), [Rung(4, 1), Rung(3, 2)]
    figures = figures_of(*alone, *[0.9] * 3)  # pairs are best
    best, done = run(figures, tmp_path, candidates=candidates, rungs=rungs)
    assert [trial.candidate for trial in done[4:]] == expected
    assert candidates[best].name == max(
        expected, key=lambda name: figures([one.name for one in candidates].index(name), 2)
    )


def test_two_changes_of_one_setting_and_a_pair_that_is_tried_alone_are_no_pairs() -> None:
    candidates = [
        Candidate("profile", {}),
        Candidate("wide", {"width": 128}),
        Candidate("narrow", {"width": 32}),
        Candidate("deep", {"depth": 4}),
        Candidate("wide and deep", {"width": 128, "depth": 4}),
    ]
    assert [pair.name for pair in with_pairs(candidates)[5:]] == ["narrow, deep"]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.200, 0.201, 0.1), 0),
        ((0.200, 0.203, 0.1), 1),
        ((0.2, 0.1, 0.1), 0),
        ((0.1, 0.2, 0.3), 2),
        ((0.0, 0.0, 0.0), 0),
    ],
)
def test_another_is_chosen_where_it_is_clearly_better(
    tmp_path: Path, scores: tuple[float, ...], expected: int
) -> None:
    rungs = [Rung(3, 1), Rung(2, 2)]
    best, _ = run(figures_of(*scores), tmp_path, candidates=CANDIDATES[:3], rungs=rungs)
    assert best == expected


@pytest.mark.parametrize(
    ("score", "chosen"),
    [(0.209, "profile"), (0.211, "wide"), (0.231, "wide"), (0.232, "wide, other kind")],
)
def test_each_change_has_to_pay_and_another_kind_of_teacher_twice(
    tmp_path: Path, score: float, chosen: str
) -> None:
    tried = [
        Candidate("profile", {}),
        Candidate("wide", {"teacher.hidden_dim": 128}),
        Candidate("other kind", {"teacher.name": "nextitnet"}),
        Candidate("wide, other kind", {"teacher.hidden_dim": 128, "teacher.name": "nextitnet"}),
    ]
    scores = 0.2, min(score, 0.215), min(score, 0.2204), score
    options = {"candidates": tried, "rungs": [Rung(4, 1)], "margin": 1.05}
    best, _ = run(figures_of(*scores), tmp_path, **options)
    assert tried[best].name == chosen


def test_a_candidate_that_fails_is_lost_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def train(candidate: int, epochs: int) -> float:
        calls.append((candidate, epochs))
        if (candidate, epochs) in ((1, 3), (2, 10)):
            raise ValueError(f"Losses should stay finite in {candidate}.")
        return FIGURES[epochs][candidate]

    best, done = run(train, tmp_path)
    assert calls == CALLS
    assert best == 3
    lost = [(trial.candidate, trial.epochs) for trial in done if trial.ndcg is None]
    assert lost == [("a", 3), ("b", 10)]
    assert "Losses should stay finite in 1." in caplog.text


def test_where_the_last_round_fails_the_first_decides(tmp_path: Path) -> None:
    def train(candidate: int, epochs: int) -> float:
        if epochs == 10:
            raise ValueError("no")
        return FIGURES[epochs][candidate]

    assert run(train, tmp_path)[0] == 2


def test_where_all_fail_the_run_stops_with_the_reason(tmp_path: Path) -> None:
    def train(candidate: int, epochs: int) -> float:
        raise ValueError("`x` should be small.")

    with pytest.raises(ValueError, match=r"One trial should succeed .*`x` should be small\."):
        run(train, tmp_path)


@pytest.mark.parametrize("killed_at", [1, 2, 5, 7, 9])
def test_trials_that_are_killed_go_on_and_end_alike(tmp_path: Path, killed_at: int) -> None:
    def run_until(stop_at: int, folder: Path, calls: list[tuple[int, int]]) -> Any:
        def train(candidate: int, epochs: int) -> float:
            calls.append((candidate, epochs))
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            if candidate == 1:
                raise ValueError("lost")
            return FIGURES[epochs][candidate]

        return run(train, folder)

    expected = run_until(0, tmp_path / "whole", [])
    before: list[tuple[int, int]] = []
    after: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        run_until(killed_at, tmp_path / "killed", before)
    assert run_until(0, tmp_path / "killed", after) == expected
    # The trial that was killed is run again; those before it are not.
    assert after[0] == before[-1]
    assert [*before[:-1], *after] == CALLS


def test_the_screen_is_told_which_of_all_trials_is_done_also_after_a_kill(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def run_until(stop_at: int) -> list[Any]:
        caplog.clear()
        started = []

        def train(candidate: int, epochs: int) -> float:
            started.append(candidate)
            if len(started) == stop_at:
                raise KeyboardInterrupt
            return FIGURES[epochs][candidate]

        with contextlib.suppress(KeyboardInterrupt):
            run(train, tmp_path)
        return [record.progress for record in caplog.records if hasattr(record, "progress")]

    caplog.set_level(logging.INFO)
    total = len(CALLS)
    assert run_until(3) == [Progress("trials", number, total) for number in (1, 2)]
    assert run_until(0) == [Progress("trials", number, total) for number in range(3, total + 1)]
