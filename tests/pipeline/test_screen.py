import inspect
import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from adarec_tf.training.progress import Progress
from pipeline import forecast
from pipeline import screen as screens
from pipeline.screen import (
    STAGE_CACHED,
    STAGE_FINISHED,
    STAGE_STARTED,
    Screen,
    redirected_output,
    root_cause,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def drawn() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def screen(drawn: io.StringIO) -> Screen:
    return Screen(Console(file=drawn, force_terminal=False, width=120))


def send(screen: Screen, message: str, *args: object, level: int = logging.INFO) -> None:
    record = logging.LogRecord("absl", level, "", 0, message, args, None)
    screen.handle(record)


def test_a_stage_is_one_line_in_plain_words(screen: Screen, drawn: io.StringIO) -> None:
    send(screen, STAGE_STARTED, "TeacherTrainer")
    send(screen, "Going to run a new execution %d", 3)
    send(screen, STAGE_FINISHED, "TeacherTrainer")
    [line] = drawn.getvalue().splitlines()
    assert line.split() == ["7/13", "Train", "the", "teacher", "done", "0.0", "s"]


def test_a_cached_stage_says_so_and_the_next_one_does_not(
    screen: Screen, drawn: io.StringIO
) -> None:
    for node_id, is_cached in (("SchemaGen", True), ("RankingEvaluator", False)):
        send(screen, STAGE_STARTED, node_id)
        if is_cached:
            send(screen, STAGE_CACHED, 5)
        send(screen, STAGE_FINISHED, node_id)
    first, second = drawn.getvalue().splitlines()
    assert "cached" in first
    assert "done" in second
    assert "cached" not in second


def test_a_failed_stage_is_still_named_afterwards(screen: Screen, drawn: io.StringIO) -> None:
    send(screen, STAGE_STARTED, "VersionPusher")
    screen.end_stage("failed")
    assert "Push the student" in drawn.getvalue()
    assert "failed" in drawn.getvalue()
    assert screen.running_stage == "VersionPusher"


def test_progress_is_a_line_a_minute_without_a_terminal(
    screen: Screen, drawn: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(screens.time, "monotonic", lambda: now)
    send(screen, STAGE_STARTED, "TeacherTrainer")
    record = logging.LogRecord("adarec_tf.x", logging.INFO, "", 0, "epoch=1", (), None)
    for epoch in range(1, 13):
        now += 25.0
        record.progress = Progress("teacher", epoch, 12)
        screen.handle(record)
    shown = [line.split() for line in drawn.getvalue().splitlines()]
    # Every third epoch is the first after a minute.
    assert shown == [["teacher:", str(epoch), "of", "12"] for epoch in (3, 6, 9, 12)]
    assert "\x1b" not in drawn.getvalue()
    send(screen, STAGE_STARTED, "StudentSearcher")
    record.progress = Progress("search", 1, 2)
    now += 59.0
    screen.handle(record)
    assert "search" not in drawn.getvalue()


def test_progress_comes_with_the_forecast_as_soon_as_there_is_one(
    screen: Screen, drawn: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1e9
    monkeypatch.setattr(screens.time, "monotonic", lambda: now)
    monkeypatch.setattr(forecast.time, "time", lambda: now)
    send(screen, STAGE_STARTED, "TeacherTrainer")
    record = logging.LogRecord("adarec_tf.x", logging.DEBUG, "", 0, "", (), None)
    record.plan = {"TeacherTrainer": 1_000_000}, {}
    screen.handle(record)
    del record.plan
    record.speed = 1000.0
    screen.handle(record)
    del record.speed
    for minutes in (5, 15):
        now = 1e9 + 60 * minutes
        record.progress = Progress("teacher", minutes, 16)
        screen.handle(record)
    end = time.strftime("%H:%M", time.localtime(1e9 + 1060))  # a minute for everything else
    told, first, second = drawn.getvalue().splitlines()
    assert told.endswith(f"done in about 18 min, at {end}.")
    assert first.strip() == f"teacher: 5 of 16; done in about 13 min, at {end}"
    assert second.strip() == f"teacher: 15 of 16; done in about 3 min, at {end}"
    now = 1e9 + 1200  # it was wrong, and nothing better is known
    screen.handle(record)
    assert drawn.getvalue().splitlines()[-1].strip() == "teacher: 15 of 16"
    send(screen, STAGE_FINISHED, "TeacherTrainer")
    del record.progress
    record.plan = {"StudentDistiller": 1}, {}
    screen.handle(record)
    send(screen, STAGE_STARTED, "StudentDistiller")
    del record.plan
    for minutes in (21, 25, 29):  # the pace of its epochs is known
        now = 1e9 + 60 * minutes
        record.progress = Progress("distillation", minutes - 20, 11)
        screen.handle(record)
    assert (
        drawn.getvalue()
        .splitlines()[-1]
        .strip()
        .startswith("distillation: 9 of 11; done in about 3 min")
    )


def test_progress_is_a_bar_on_a_terminal() -> None:
    drawn = io.StringIO()
    with Screen(Console(file=drawn, force_terminal=True, width=100)) as screen:
        send(screen, STAGE_STARTED, "TeacherTrainer")
        record = logging.LogRecord("adarec_tf.x", logging.INFO, "", 0, "epoch=3", (), None)
        record.progress = Progress("teacher", 3, 12)
        screen.handle(record)
        send(screen, STAGE_FINISHED, "TeacherTrainer")
    assert "3/12" in drawn.getvalue()
    assert "\x1b" in drawn.getvalue()


def send_extra(screen: Screen, **extra: object) -> None:
    record = logging.LogRecord("adarec_tf.x", logging.DEBUG, "", 0, "", (), None)
    record.__dict__.update(extra)
    screen.handle(record)


def test_the_first_speed_of_a_stage_forecasts_the_run_and_warns_of_more_than_a_day(
    screen: Screen, drawn: io.StringIO
) -> None:
    send(screen, STAGE_STARTED, "TeacherTrainer")
    send_extra(screen, plan=({"TeacherTrainer": 3e6, "StudentDistiller": 1e6}, {}))
    assert drawn.getvalue() == ""
    send_extra(screen, speed=10.0)
    forecast, warning = drawn.getvalue().splitlines()
    assert forecast.strip().startswith("Forecast: teacher 3.5 days, distillation 27.8 h; done in")
    assert warning.strip().startswith("WARNING: this run takes more than a day.")


def test_the_lines_waited_for_are_those_tfx_writes() -> None:
    from tfx.orchestration.local import local_dag_runner
    from tfx.orchestration.portable import launcher

    for message in (STAGE_STARTED, STAGE_FINISHED):
        assert f"logging.info('{message}'" in inspect.getsource(local_dag_runner)
    assert f"logging.info('{STAGE_CACHED}'" in inspect.getsource(launcher)


WRITE_EVERYWHERE = """
import logging, os, sys
from pathlib import Path
from adarec_tf.training.progress import Progress, log_progress
from pipeline.screen import redirected_output

logger = logging.getLogger("adarec_tf.somewhere")
with redirected_output(Path(sys.argv[1])) as console:
    os.write(1, b"from C on 1\\n")
    os.write(2, b"from C on 2\\n")
    print("from Python", flush=True)
    print("from Python too", file=sys.stderr)
    log_progress(logger, Progress("teacher", 1, 2), "epoch=%d", 1)
    logger.debug("step=1")
    console.print("[red]for people[/red]")
print("afterwards")
"""


def test_everything_written_goes_to_the_log_and_then_to_the_screen_again(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    command = [sys.executable, "-c", WRITE_EVERYWHERE, str(log)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "for people\nafterwards\n"
    assert shown.stderr == ""
    text = log.read_text()
    for line in ("from C on 1", "from C on 2", "from Python\n", "from Python too"):
        assert line in text
    assert " INFO adarec_tf.somewhere: epoch=1\n" in text
    assert "step=1" not in text


def test_a_terminal_without_a_size_is_written_to(tmp_path: Path) -> None:
    master, slave = os.openpty()
    command = [sys.executable, "-c", WRITE_EVERYWHERE, str(tmp_path / "run.log")]
    subprocess.run(command, cwd=ROOT, stdout=slave, check=True)
    assert os.get_terminal_size(slave).columns == 0
    os.close(slave)
    assert b"for people" in os.read(master, 1000)
    os.close(master)


def test_output_is_restored_after_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), redirected_output(tmp_path / "run.log"):
        raise KeyboardInterrupt
    os.write(1, b"visible\n")
    assert capfd.readouterr().out == "visible\n"


def test_the_screen_module_does_not_import_tensorflow() -> None:
    code = (
        "import sys, pipeline.run\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'tfx', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


BEAM_TEXT = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1495, in apache_beam.runners.common.DoFnRunner.process
  File "adarec_tf/data/log/interactions.py", line 5, in read
adarec_tf.data.log.readers.InteractionsError: log.csv, line 7. [while running 'ReadBlocks']

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "worker.py", line 1, in run
{last}
"""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("`k` should be positive."), "`k` should be positive."),
        (KeyError("teacher"), "KeyError: 'teacher'"),
        (RuntimeError("first line\nsecond line"), "RuntimeError: first line"),
        (MemoryError(), "MemoryError"),
        (ValueError("Bad row. [while running 'Read/Map']"), "Bad row."),
    ],
)
def test_a_plain_error_is_its_first_line(error: Exception, cause: str) -> None:
    assert root_cause(error) == cause


def test_the_last_exception_in_a_workers_traceback_is_the_cause() -> None:
    last = (
        "adarec_tf.data.log.readers.InteractionsError: log.csv, line 7: `timestamp` should "
        "be a number. Received: 'x'. [while running 'ReadBlocks']"
    )
    assert root_cause(RuntimeError(BEAM_TEXT.format(last=last))) == (
        "log.csv, line 7: `timestamp` should be a number. Received: 'x'."
    )


def test_an_exception_that_is_not_written_for_users_keeps_its_type() -> None:
    text = BEAM_TEXT.format(last="pyarrow.lib.ArrowKeyError: no such key")
    assert root_cause(RuntimeError(text)) == "ArrowKeyError: no such key"


def test_the_cause_is_one_line_of_readable_length() -> None:
    cause = root_cause(ValueError("x" * 5000))
    assert len(cause) == 600
