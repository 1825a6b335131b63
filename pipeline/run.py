"""One run on this machine: its folder and lock, its log and screen, and what is said if it fails.

TFX is imported when the run's output already goes to its log, so that the screen shows the run
alone.
"""

import contextlib
import json
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from adarec_tf.config.extras import require_extra
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import find_cost_table, find_genotype
from pipeline.scene_data import check_log
from pipeline.screen import STAGES, Screen, redirected_output, root_cause
from pipeline.workdir import Workdir

EXIT_INTERRUPTED = 130

logger = logging.getLogger(__name__)


class RunResult(NamedTuple):
    """A finished run.

    Attributes:
      result: the content of `result.json`.
      result_path: where that is.
      workdir: the run's folder.
      log_path: the run's log.
    """

    result: dict[str, Any]
    result_path: Path
    workdir: Path
    log_path: Path


class RunFailedError(ValueError):
    """A stage failed; the message says which, why, and where the log is."""


class RunInterruptedError(ValueError):
    """The run was asked to stop; the message says how to go on."""


def run_pipeline(
    config: PipelineConfig,
    data_path: str | os.PathLike[str] | None,
    workdir: str | os.PathLike[str],
    beam_arguments: Sequence[str] = (),
    warm_start: str = "",
    search_again: bool = False,
    item_titles: str = "",
) -> RunResult:
    """Runs every stage that has no valid result from an earlier run in the same folder.

    Args:
      config: the run's settings.
      data_path: a file or folder of raw interactions, or a pattern of daily folders; None for a
        scene that can be generated.
      workdir: the run's folder; what was interrupted there continues.
      beam_arguments: of Beam, `--name=value`: where the Beam stages run; results are the same.
      warm_start: `last` continues from the last run in the folder whose student was blessed,
        `last-or-cold` from none if there is none; "" never does.
      search_again: whether a run that continues searches its student's architecture again.
      item_titles: for the report, a CSV or TSV file with a row an item, its id and its title; ""
        is none.

    Returns:
      The result, which is also in `result.json`.

    Raises:
      MissingExtraError: TFX is not installed.
      ValueError: there is no log or a bad one, a file of a setting is not there, or the folder
        cannot be used.
      RunFailedError: a stage failed.
      RunInterruptedError: SIGINT or SIGTERM arrived.
    """
    require_extra("pipeline", "tfx", "apache_beam")
    if config.search.cost_table:
        find_cost_table(config.search.cost_table)
    if config.search.genotype:
        find_genotype(config.search.genotype)
    if item_titles:
        from adarec_tf.report.titles import read_titles

        read_titles(item_titles)
    spans = check_log(config, data_path)
    if search_again and not warm_start:
        raise ValueError(
            "--search-again should come with --warm-start: other runs search anyway. "
            "Received: no --warm-start."
        )
    folder = Workdir(workdir)
    with folder.locked():
        folder.write_config(
            config,
            data_path=None if data_path is None else os.path.abspath(data_path),
            beam_arguments=list(beam_arguments),
            warm_start=warm_start,
            search_again=search_again,
            item_titles=item_titles,
        )
        log_path = folder.new_log()
        with (
            redirected_output(log_path) as console,
            Screen(console) as screen,
            _explained(screen, log_path),
        ):
            if spans:
                screen.say(f"Spans {spans}.")
            from pipeline.local_runner import run_stages

            result = run_stages(
                config,
                data_path,
                folder,
                beam_arguments,
                warm_start,
                search_again,
                item_titles,
                screen.say,
            )
        folder.result.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return RunResult(result, folder.result, folder.root, log_path)


@contextlib.contextmanager
def _explained(screen: Screen, log_path: Path) -> Iterator[None]:
    """Ends the block with an error of one sentence; SIGTERM stops it as SIGINT does."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt as error:
        screen.end_stage("interrupted")
        raise RunInterruptedError(
            f"The run was interrupted. The same command continues where it was. Log: {log_path}"
        ) from error
    except Exception as error:
        logger.exception("The run failed.")
        screen.end_stage("failed")
        stage = STAGES.get(screen.running_stage or "", "The run")
        raise RunFailedError(f"{stage!r} failed: {root_cause(error)} Log: {log_path}") from error
    finally:
        signal.signal(signal.SIGTERM, before)
