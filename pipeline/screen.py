"""What the user sees of a run: one line a stage and a bar for long loops; the rest goes to the log.

TensorFlow, TFX and Beam write thousands of lines, some of them from C++ straight to the file
descriptors. So descriptors 1 and 2 point to the log while a run lasts, and the screen is drawn on
a copy of the original standard output.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from pipeline.stages import STAGES

# The lines by which LocalDagRunner and its launcher tell where they are.
STAGE_STARTED = "Component %s is running."
STAGE_CACHED = "A cached execution %d is used."
STAGE_FINISHED = "Component %s is finished."
_PLAIN_WIDTH = 140
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Screen(logging.Handler):
    """Draws stages and loops from log records that announce them, while its `with` block runs."""

    def __init__(self, console: Console) -> None:
        """Args: where to draw; bars are drawn on terminals only."""
        super().__init__(logging.DEBUG)
        self.console = console
        self.running_stage: str | None = None
        self._is_cached = False
        self._started_at = 0.0
        self._loop: TaskID | None = None
        self._loop_name = ""
        self._stage_bar: TaskID | None = None
        self._bars = Progress(
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
        self._stage_bar = self._bars.add_task("Start TensorFlow and TFX", total=None, count="")
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Draws a record that marks a stage or carries `progress`; ignores all others."""
        progress = getattr(record, "progress", None)
        if progress is not None:
            self._show_progress(record.levelno, *progress)
        elif record.msg == STAGE_STARTED:
            self._start_stage(*record.args)  # type: ignore[misc]
        elif record.msg == STAGE_CACHED:
            self._is_cached = True
        elif record.msg == STAGE_FINISHED:
            self._end_stage("cached" if self._is_cached else "done", "green")
            self.running_stage = None

    def stage_failed(self) -> None:
        """Ends the line of the stage that was running, which `running_stage` still names."""
        if self.running_stage is not None:
            self._end_stage("failed", "red")

    def stage_interrupted(self) -> None:
        """As `stage_failed`, for a run that was asked to stop."""
        if self.running_stage is not None:
            self._end_stage("interrupted", "yellow")

    def _start_stage(self, node_id: str) -> None:
        self._remove_bars()
        self.running_stage = node_id
        self._is_cached = False
        self._started_at = time.monotonic()
        self._stage_bar = self._bars.add_task(STAGES.get(node_id, node_id), total=None, count="")

    def _end_stage(self, outcome: str, color: str) -> None:
        self._remove_bars()
        node_id = self.running_stage or ""
        number = list(STAGES).index(node_id) + 1 if node_id in STAGES else 0
        seconds = time.monotonic() - self._started_at
        self.console.print(
            f"{number:>2}/{len(STAGES)}  {STAGES.get(node_id, node_id):<30} "
            f"[{color}]{outcome:<11}[/{color}] {seconds:7.1f} s",
            highlight=False,
        )

    def _show_progress(self, level: int, name: str, done: int, total: int) -> None:
        if not self.console.is_terminal:
            if level >= logging.INFO:
                self.console.print(f"       {name}: {done} of {total}", highlight=False)
            return
        state: dict[str, Any] = {"completed": done, "total": total, "count": f"{done}/{total}"}
        if self._loop is None or self._loop_name != name:
            self._remove_bars()
            self._loop_name = name
            self._loop = self._bars.add_task(name, **state)
        self._bars.update(self._loop, **state)

    def _remove_bars(self) -> None:
        for bar in (self._stage_bar, self._loop):
            if bar is not None:
                self._bars.remove_task(bar)
        self._stage_bar = self._loop = None


@contextlib.contextmanager
def redirected_output(log_path: Path) -> Iterator[Console]:
    """Sends descriptors 1 and 2 and all Python logging to a file while the block runs.

    Args:
      log_path: the log, created or appended to.

    Yields:
      A console on the original standard output, without control codes unless it is a terminal.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(descriptor) for descriptor in (1, 2)]
    is_terminal = os.isatty(saved[0])
    root = logging.getLogger()
    level = root.level
    with (
        open(log_path, "a", encoding="utf-8", buffering=1) as log,
        os.fdopen(os.dup(saved[0]), "w", encoding=sys.stdout.encoding, errors="replace") as screen,
    ):
        handler = logging.StreamHandler(log)
        handler.setLevel(logging.INFO)
        handler.setFormatter(logging.Formatter(_LOG_FORMAT))
        try:
            for descriptor in (1, 2):
                os.dup2(log.fileno(), descriptor)
            root.addHandler(handler)
            root.setLevel(logging.INFO)
            # Below INFO our loops report steps, which move the bars.
            logging.getLogger("adarec_tf").setLevel(logging.DEBUG)
            yield Console(
                file=screen,
                force_terminal=is_terminal,
                width=os.get_terminal_size(saved[0]).columns if is_terminal else _PLAIN_WIDTH,
            )
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            root.removeHandler(handler)
            root.setLevel(level)
            for descriptor, original in zip((1, 2), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)
