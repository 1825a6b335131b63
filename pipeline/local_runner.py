"""Runs the pipeline on this machine: LocalDagRunner, ML Metadata in SQLite, one folder a run.

`python -m pipeline.local_runner --config smoke` runs a scene of `pipeline/configs/`. TFX is
imported when a run's output already goes to its log, so that the screen shows the run alone.
"""

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from adarec_tf.config.pipeline import PipelineConfig
from pipeline.configs import scene_config
from pipeline.scene_data import check_data_path, locate_data
from pipeline.screen import STAGES, Screen, redirected_output, root_cause
from pipeline.workdir import Workdir

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
# Looks at the serving folder in every run: what it pushed may be gone, or followed by others.
_NEVER_CACHED = "VersionPusher"

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


class _Run(NamedTuple):
    """What is to be run; see `run_pipeline`."""

    config: PipelineConfig
    data_path: str | os.PathLike[str] | None
    folder: Workdir
    beam_arguments: Sequence[str]
    warm_start: str
    search_again: bool


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

    Returns:
      The result, which is also in `result.json`.

    Raises:
      ValueError: there is no data, or the folder cannot be used.
      RunFailedError: a stage failed.
      RunInterruptedError: SIGINT or SIGTERM arrived.
    """
    spans = check_data_path(config.scene, data_path, config.spans)
    if search_again and not warm_start:
        raise ValueError(
            "--search-again should come with --warm-start: other runs search anyway. "
            "Received: no --warm-start."
        )
    folder = Workdir(workdir)
    with folder.locked():
        folder.write_config(
            config, data_path, beam_arguments, warm_start=warm_start, search_again=search_again
        )
        log_path = folder.new_log()
        with redirected_output(log_path) as console, Screen(console) as screen:

            def say(line: str) -> None:
                console.print(line, soft_wrap=True, markup=False, highlight=False)

            if spans:
                say(f"Spans {spans}.")
            try:
                with _interrupted_by_sigterm():
                    run = _Run(config, data_path, folder, beam_arguments, warm_start, search_again)
                    result = _run_stages(run, say)
            except KeyboardInterrupt as error:
                screen.end_stage("interrupted")
                raise RunInterruptedError(
                    "The run was interrupted. The same command continues where it was. "
                    f"Log: {log_path}"
                ) from error
            except Exception as error:
                logger.exception("The run failed.")
                screen.end_stage("failed")
                stage = STAGES.get(screen.running_stage or "", "The run")
                raise RunFailedError(
                    f"{stage!r} failed: {root_cause(error)} Log: {log_path}"
                ) from error
    return RunResult(result, folder.result, folder.root, log_path)


def _run_stages(run: _Run, say: Callable[[str], None]) -> dict[str, Any]:
    # Imported here, when standard error is the log: see the module's docstring.
    import tensorflow as tf
    from absl import logging as absl_logging
    from tfx.dsl.compiler.compiler import Compiler
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    from adarec_tf.models.students.cost_table import read_cost_table
    from adarec_tf.models.students.genotype_io import read_genotype
    from components.beam_arguments import check_beam_arguments
    from components.input_spans import identify_log
    from pipeline import beam_stages
    from pipeline.pipeline import create_pipeline, read_log
    from pipeline.results import collect_result
    from pipeline.warm_start import describe_start, find_warm_start, warm_config

    config, folder = run.config, run.folder
    # An error in an argument or a file is better known now than later.
    check_beam_arguments(run.beam_arguments)
    if config.search.cost_table:
        read_cost_table(config.search.cost_table)
    if config.search.genotype:
        read_genotype(config.search.genotype)
    data_path = os.path.abspath(locate_data(config.scene, run.data_path, folder.data))
    start = None
    if run.warm_start:
        log = identify_log(read_log(config, data_path).spec.exec_properties)
        start = find_warm_start(folder.metadata, log, run.warm_start)
        if start:
            config, start = warm_config(config, start, search_again=run.search_again)
        say(describe_start(start))
    absl_logging.set_verbosity(absl_logging.INFO)  # the screen reads TFX's own lines
    # One operation at a time, on all cores: sums of gradients begin with whichever tensor is free
    # to be overwritten, so that equal seeds train equal models only if operations keep their order.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    pipeline = create_pipeline(
        config,
        data_path=data_path,
        pipeline_root=str(folder.pipeline),
        serving_dir=str(folder.serving(config.serving.model_name)),
        checkpoint_dir=str(folder.checkpoints),
        log_dir=str(folder.tensorboard),
        metadata_path=str(folder.metadata),
        start=start,
    )
    compiled = Compiler().compile(pipeline)
    for node in compiled.nodes:
        if node.pipeline_node.node_info.id == _NEVER_CACHED:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    with beam_stages.beam_arguments(run.beam_arguments):
        LocalDagRunner().run_with_ir(compiled)
    result = collect_result(config, folder.metadata, start)
    folder.result.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return result


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM stops the block as SIGINT does: by a `KeyboardInterrupt`."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a scene and says where its result is."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.local_runner", description=__doc__)
    parser.add_argument("--config", required=True, help="a scene of pipeline/configs")
    parser.add_argument("--data", help="a file or folder of raw interactions")
    parser.add_argument("--workdir", help="default: runs/<scene>")
    options = parser.parse_args(arguments)
    try:
        config = scene_config(options.config)
        finished = run_pipeline(config, options.data, options.workdir or f"runs/{config.scene}")
    except RunInterruptedError as error:
        print(error, file=sys.stderr)
        return EXIT_INTERRUPTED
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(finished.result_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
