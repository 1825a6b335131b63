"""What the user sees of a run: one line a stage, a bar for long loops, and why a run failed.

TensorFlow, TFX and Beam write thousands of lines, some of them from C++ straight to the file
descriptors. So descriptors 1 and 2 point to the log while a run lasts, and the screen is drawn on
a copy of the original standard output.
"""

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipeline.forecast import Forecast

# The stages in order, and what each is called on the screen.
STAGES: dict[str, str] = {
    "InteractionsGen": "Read the interactions",
    "StatisticsGen": "Compute statistics",
    "SchemaGen": "Infer the schema",
    "InteractionsValidator": "Validate the interactions",
    "SequencePreprocessor": "Make the sequences",
    "TeacherTuner": "Find the recipe",
    "TeacherTrainer": "Train the teacher",
    "StudentSearcher": "Search for a student",
    "StudentDistiller": "Distill the student",
    "RankingEvaluator": "Evaluate all models",
    "ServerValidator": "Try the student in a server",
    "VersionPusher": "Push the student",
    "ReportWriter": "Write the report",
}

# The lines by which LocalDagRunner and its launcher tell where they are.
STAGE_STARTED = "Component %s is running."
STAGE_CACHED = "A cached execution %d is used."
STAGE_FINISHED = "Component %s is finished."
_COLORS = {"failed": "red", "interrupted": "yellow"}
_PLAIN_WIDTH = 140
_TOLD_EVERY_S = 60.0
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# The last line of a printed exception. Ours are all ValueErrors whose messages users can act on.
_EXCEPTION_LINE = re.compile(
    r"^(?P<module>(?:\w+\.)*)(?P<type>\w*(?:Error|Exception)): (?P<message>.+)$", re.MULTILINE
)
_OUR_MODULES = ("adarec_tf.", "components.", "pipeline.", "serving.")
_BEAM_SUFFIX = re.compile(r" \[while running '[^']*'\]")
_MESSAGE_LENGTH = 600


class Screen(logging.Handler):
    """Draws stages and loops from log records that announce them, while its `with` block runs.

    Args:
      console: where to draw; bars are drawn on terminals only.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(logging.DEBUG)
        self.console = console
        self.running_stage: str | None = None
        self._is_cached = False
        self._started_at = self._told_at = 0.0
        self._forecast = Forecast()
        self._bars = Progress(  # one at a time: of a stage, until a loop in it reports
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Screen":
        logging.getLogger().addHandler(self)
        self._bars.start()
        self._show_bar("Start TensorFlow and TFX")
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()
        logging.getLogger().removeHandler(self)

    def say(self, line: str) -> None:
        """Shows a line as it is."""
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)

    def emit(self, record: logging.LogRecord) -> None:
        """Draws a record that marks a stage, carries `progress`, a `line` or a speed."""
        progress = getattr(record, "progress", None)
        if progress is not None:
            self._show_progress(*progress)
        elif hasattr(record, "line"):
            self.say(f"       {record.line}")
        elif hasattr(record, "plan"):
            self._forecast.plan(*record.plan)
        elif hasattr(record, "speed"):
            self._forecast.measure(self.running_stage or "", record.speed)
            self._say_forecast()
        elif record.msg == STAGE_STARTED:
            self._start_stage(*record.args)  # type: ignore[misc]
        elif record.msg == STAGE_CACHED:
            self._is_cached = True
        elif record.msg == STAGE_FINISHED:
            self.end_stage("cached" if self._is_cached else "done")
            self._forecast.finish(self.running_stage or "")
            self.running_stage = None

    def _say_forecast(self) -> None:
        for line in self._forecast.lines():
            self.say(f"       {line}")

    def end_stage(self, outcome: str) -> None:
        """Draws the line of the running stage, if there is one; `running_stage` still names it.

        Args:
          outcome: one of `done`, `cached`, `failed` and `interrupted`.
        """
        if self.running_stage is None:
            return
        self._remove_bar()
        number = list(STAGES).index(self.running_stage) + 1
        color = _COLORS.get(outcome, "green")
        self.console.print(
            f"{number:>2}/{len(STAGES)}  {STAGES[self.running_stage]:<30} "
            f"[{color}]{outcome:<11}[/{color}] {time.monotonic() - self._started_at:7.1f} s",
            highlight=False,
        )

    def _start_stage(self, node_id: str) -> None:
        self.running_stage = node_id
        self._is_cached = False
        self._started_at = self._told_at = time.monotonic()
        self._forecast.start(node_id)
        self._show_bar(STAGES[node_id])

    def _show_progress(self, name: str, done: int, total: int) -> None:
        self._forecast.advance(name, done, total)
        self._say_forecast()
        if not self.console.is_terminal:
            self._say_progress(name, done, total)
            return
        if [bar.description for bar in self._bars.tasks] == [name]:
            [bar] = self._bars.task_ids
            self._bars.update(bar, completed=done, total=total, count=f"{done}/{total}")
        else:
            self._show_bar(name, done, total)

    def _say_progress(self, name: str, done: int, total: int) -> None:
        """A line a minute: files and mail have no bars."""
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            rest = self._forecast.rest()
            self.say(f"       {name}: {done} of {total}{rest and f'; {rest}'}")

    def _show_bar(self, name: str, done: int = 0, total: int | None = None) -> None:
        self._remove_bar()
        count = f"{done}/{total}" if total else ""
        self._bars.add_task(name, completed=done, total=total, count=count)

    def _remove_bar(self) -> None:
        for bar in self._bars.task_ids:
            self._bars.remove_task(bar)


@contextlib.contextmanager
def redirected_output(log_path: Path) -> Iterator[Console]:
    """Sends descriptors 1 and 2 and all Python logging to a file while the block runs.

    Args:
      log_path: the log, created or appended to.

    Yields:
      A console on the original standard output, without control codes unless it is a terminal.
    """
    is_terminal = os.isatty(1)
    with (
        open(log_path, "a", encoding="utf-8", buffering=1) as log,
        os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors="replace") as screen,
        _descriptors_to(log),
        _logging_to(log),
    ):
        # A terminal that was never told its size says 0.
        width = os.get_terminal_size(screen.fileno()).columns if is_terminal else 0
        yield Console(file=screen, force_terminal=is_terminal, width=width or _PLAIN_WIDTH)


@contextlib.contextmanager
def _descriptors_to(log: TextIO) -> Iterator[None]:
    streams = {1: sys.stdout, 2: sys.stderr}
    saved = {descriptor: os.dup(descriptor) for descriptor in streams}
    try:
        for descriptor, stream in streams.items():
            stream.flush()
            os.dup2(log.fileno(), descriptor)
        yield
    finally:
        for descriptor, stream in streams.items():
            stream.flush()
            os.dup2(saved[descriptor], descriptor)
            os.close(saved[descriptor])


@contextlib.contextmanager
def _logging_to(log: TextIO) -> Iterator[None]:
    handler = logging.StreamHandler(log)
    handler.setLevel(logging.INFO)
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # Below INFO our loops report steps, which move the bars.
    logging.getLogger("adarec_tf").setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def root_cause(error: BaseException) -> str:
    """One line saying what went wrong.

    Beam reports an error of a worker as a `RuntimeError` whose text is the worker's traceback; the
    cause is then the last exception line in it. Messages of `ValueError`s are written for users
    and stand alone; other exceptions keep their type's name.

    Args:
      error: what a stage raised.

    Returns:
      The message, without a traceback and without line breaks.
    """
    text = _BEAM_SUFFIX.sub("", str(error)).strip()
    causes = list(_EXCEPTION_LINE.finditer(text))
    if "Traceback (most recent call last)" in text and causes:
        cause = causes[-1]
        kind, message = cause["type"], cause["message"]
        is_for_users = kind == "ValueError" or cause["module"].startswith(_OUR_MODULES)
    else:
        kind, message = type(error).__name__, text.partition("\n")[0]
        is_for_users = isinstance(error, ValueError)
    message = message[:_MESSAGE_LENGTH]
    if is_for_users and message:
        return message
    return f"{kind}: {message}" if message else kind
