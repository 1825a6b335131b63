import re

import pytest

from pipeline import forecast
from pipeline.forecast import Forecast

WORK = {"TeacherTuner": 0, "TeacherTrainer": 50_000, "StudentDistiller": 100_000}
SEARCH = {"StudentSearcher": 100_000}


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast.time, "time", lambda: 1e9)


def made(speed: float, stage: str = "TeacherTrainer") -> Forecast:
    forecast = Forecast()
    forecast.plan(WORK, {})
    forecast.measure(stage, speed)
    return forecast


def test_nothing_is_forecast_before_a_speed_and_a_plan_are_known() -> None:
    forecast = Forecast()
    assert forecast.lines() == []
    forecast.measure("TeacherTrainer", 10.0)
    assert forecast.lines() == []


def test_a_search_that_is_over_before_a_speed_is_known_is_not_forecast() -> None:
    forecast = Forecast()
    forecast.plan(SEARCH, {"StudentSearcher": 1e9})
    forecast.start("StudentSearcher")
    for done in (1, 2):
        forecast.advance("search", done, 2)
    assert forecast.lines() == []


def test_each_stage_that_is_left_has_its_time() -> None:
    forecast = made(500.0)
    [line] = forecast.lines()
    # Everything else takes a minute.
    assert "Forecast: teacher 2 min, distillation 3 min; done in about 6 min, at " in line
    assert forecast.lines() == []  # nothing new
    forecast.finish("TeacherTrainer")
    [line] = forecast.lines()
    assert "Forecast: distillation 3 min; done in about 4 min" in line


def test_a_speed_counts_by_the_stage_in_which_it_was_measured() -> None:
    of_teacher, of_search = made(150.0), made(100.0, "StudentSearcher")
    assert of_teacher.lines() == of_search.lines() != []


def test_what_has_run_is_not_forecast_again(monkeypatch: pytest.MonkeyPatch) -> None:
    forecast = made(500.0)  # teacher 100 s, distillation 200 s, and a minute
    forecast.start("TeacherTrainer")
    assert len(forecast.lines()) == 1
    monkeypatch.setattr("pipeline.forecast.time.time", lambda: 1e9 + 90)
    forecast.advance("teacher", 1, 2)  # one of several teachers: its pace tells nothing of others
    forecast.measure("TeacherTrainer", 500.0)
    assert forecast.lines() == []
    assert forecast.rest().startswith("done in about 4 min")
    monkeypatch.setattr("pipeline.forecast.time.time", lambda: 1e9 + 300)
    [line] = forecast.lines()  # it should have been over: only what follows is known
    assert "Forecast: distillation 3 min; done in about 4 min" in line


def test_a_loop_that_is_slower_than_its_first_steps_moves_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forecast, now = made(500.0), 1e9
    monkeypatch.setattr("pipeline.forecast.time.time", lambda: now)
    forecast.finish("TeacherTrainer")
    forecast.start("StudentDistiller")
    assert len(forecast.lines()) == 1
    for done in (1, 2, 3):
        now += 400.0
        forecast.advance("distillation", done, 5)
    [line] = forecast.lines()  # two epochs of 400 s are left
    assert "Forecast: distillation 13 min; done in about 14 min" in line
    now += 360.0
    forecast.advance("distillation", 4, 5)
    assert forecast.lines() == []  # near what was told
    assert forecast.rest().startswith("done in about 7 min")


def test_candidates_are_ranked_after_the_last_epoch_of_a_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forecast, now = Forecast(), 1e9
    monkeypatch.setattr("pipeline.forecast.time.time", lambda: now)
    forecast.plan(SEARCH, {"StudentSearcher": 1.296e9})
    forecast.measure("TeacherTrainer", 1000.0)
    forecast.start("StudentSearcher")
    # A position of the search costs 1.5 of the teacher's, and 4,000 scores cost one.
    [line] = forecast.lines()
    assert "Forecast: search 8 min; done in about 9 min" in line  # 150 and 324 s
    for done in (1, 2):
        now += 300.0
        forecast.advance("search", done, 2)
    [line] = forecast.lines()
    assert "Forecast: search 5 min; done in about 6 min" in line
    for done in (1, 2, 3):
        now += 100.0
        forecast.advance("candidates", done, 11)
    [line] = forecast.lines()  # eight more of 100 s
    assert "Forecast: search 13 min; done in about 14 min" in line


def test_a_run_of_more_than_a_day_is_warned_of_and_says_how_it_is_shortened() -> None:
    # 150,000 positions in all, and a minute of others.
    assert len(made(150_000 / 86_000).lines()) == 1
    line, warning = made(150_000 / (3.5 * 86_400)).lines()
    assert "done in about 3.5 days" in line
    assert re.search(r"at \d{4}-\d\d-\d\d \d\d:\d\d\.$", line)
    assert warning.startswith("WARNING: this run takes more than a day.")
    for way in ("--effort quick", "training.max_epochs", "data.min_user_interactions"):
        assert way in warning
