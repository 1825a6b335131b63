"""Runs the stages on this machine, by TFX's LocalDagRunner and ML Metadata in SQLite."""

import contextlib
import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import logging as absl_logging
from tfx.dsl.compiler.compiler import Compiler
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.proto.orchestration.executable_spec_pb2 import BeamExecutableSpec

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.models.students.cost_table import read_cost_table
from adarec_tf.models.students.genotype import read_genotype
from adarec_tf.training.devices import set_threads
from components.beam_arguments import check_beam_arguments, check_cluster
from components.input_spans import identify_log
from components.recipes import read_recipe
from pipeline.pipeline import create_pipeline, read_log
from pipeline.results import collect_result, recipe_of
from pipeline.scene_data import locate_data
from pipeline.warm_start import WarmStart, describe_start, find_warm_start, warm_config
from pipeline.workdir import Workdir

# Looks at the serving folder in every run: what it pushed may be gone, or followed by others.
_NEVER_CACHED = "VersionPusher"


def run_stages(
    config: PipelineConfig,
    data_path: str | os.PathLike[str] | None,
    folder: Workdir,
    beam_arguments: Sequence[str],
    warm_start: str,
    search_again: bool,
    item_titles: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Runs the stages of a pipeline, each as far as no cached result takes its place.

    Args:
      config: the run's settings.
      data_path: a file or folder of raw interactions, or a pattern of daily folders; None for a
        scene that can be generated.
      folder: where everything is written.
      beam_arguments: of Beam, added to those of the pipeline.
      warm_start: `last`, `last-or-cold`, or "" for a run that begins anew.
      search_again: whether a run that continues searches its student's architecture again.
      item_titles: a file, for the report; "" is none.
      say: shows the user a line.

    Returns:
      The content of `result.json`.

    Raises:
      ValueError: an argument, a file or a row of the log is not as it should be.
    """
    # An error in an argument or a file is better known now than later.
    check_beam_arguments(beam_arguments)
    check_cluster(beam_arguments)
    if config.search.cost_table:
        read_cost_table(config.search.cost_table)
    if config.search.genotype:
        read_genotype(config.search.genotype)
    path = os.path.abspath(locate_data(config.scene, data_path, folder.data))
    config, start = continue_run(config, path, folder, warm_start, search_again)
    if warm_start:
        say(describe_start(start))
    try:
        _run(config, path, folder, start, beam_arguments, item_titles)
    finally:
        recipe = recipe_of(config, folder.metadata)
        if recipe is not None:
            folder.recipe.write_text(json.dumps(recipe, indent=2) + "\n", "utf-8")
    result = collect_result(config, folder.metadata, start._asdict() if start else None)
    _place_report(result["paths"], folder)
    return result


def _place_report(paths: dict[str, str | None], folder: Workdir) -> None:
    """Copies the report from its artifact to the run's folder; one of an earlier run goes."""
    made = paths["report"]
    for place in (folder.report, folder.report_facts):
        place.unlink(missing_ok=True)
        if made:
            shutil.copyfile(Path(made).with_name(place.name), place)
    paths["report"] = str(folder.report) if made else None


def continue_run(
    config: PipelineConfig, data_path: str, folder: Workdir, warm_start: str, search_again: bool
) -> tuple[PipelineConfig, WarmStart | None]:
    """The settings of a run, and the earlier one that it continues from, if it does.

    Args:
      config: as the user gave it.
      data_path: of the log.
      folder: of both runs.
      warm_start: `last`, `last-or-cold`, or "" for a run that begins anew.
      search_again: whether the student's architecture is searched again.

    Raises:
      ValueError: there is no earlier run and there should be, or it has other settings.
    """
    if not warm_start:
        return config, None
    log = identify_log(read_log(config, data_path).spec.exec_properties)
    start = find_warm_start(folder.metadata, log, warm_start)
    if start is None:
        return config, None
    # Without a recipe the settings are those given by hand, as they were in that run.
    kept = read_recipe(start.recipe) if start.recipe else None
    config = config.with_recipe(kept) if kept else config.replace(effort="none")
    return warm_config(config, start, search_again=search_again)


def _run(
    config: PipelineConfig,
    data_path: str,
    folder: Workdir,
    start: WarmStart | None,
    beam_arguments: Sequence[str],
    item_titles: str,
) -> None:
    absl_logging.set_verbosity(absl_logging.INFO)  # the screen reads TFX's own lines
    set_threads()
    with uncached_beam_arguments(beam_arguments):
        stages = compile_stages(config, data_path, folder, start, item_titles)
        LocalDagRunner().run_with_ir(stages)


def compile_stages(
    config: PipelineConfig,
    data_path: str,
    folder: Workdir,
    start: WarmStart | None,
    item_titles: str = "",
) -> Any:
    """The pipeline as LocalDagRunner takes it.

    Args:
      config: the run's settings.
      data_path: of the log.
      folder: where everything is written.
      start: the earlier run that it continues from; None begins anew.
      item_titles: a file, for the report; "" is none.
    """
    pipeline = create_pipeline(
        config,
        data_path=data_path,
        pipeline_root=str(folder.pipeline),
        serving_dir=str(folder.serving(config.serving.model_name)),
        checkpoint_dir=str(folder.checkpoints),
        log_dir=str(folder.tensorboard),
        metadata_path=str(folder.metadata),
        start=start,
        item_titles=item_titles,
    )
    compiled = Compiler().compile(pipeline)
    for node in compiled.nodes:
        if node.pipeline_node.node_info.id == _NEVER_CACHED:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    return compiled


@contextlib.contextmanager
def uncached_beam_arguments(arguments: Sequence[str]) -> Iterator[None]:
    """Stages launched in this block get these Beam arguments after those of the pipeline.

    TFX hashes the pipeline's own into the cache key of a stage: another runner, or another number
    of workers, would make every result stale, and the teacher would be trained again on equal
    bytes. The cache is not told of these: what the stages write does not depend on the runner.

    Args:
      arguments: `--name=value` or `--flag`; Beam takes the last of a name.
    """

    class Operator(BeamExecutorOperator):
        def __init__(self, executor_spec: BeamExecutableSpec, platform_config: Any = None) -> None:
            spec = copy.deepcopy(executor_spec)  # the launcher hashes its own
            for argument in arguments:
                spec.beam_pipeline_args_placeholders.add().value.string_value = argument
            super().__init__(spec, platform_config)

    # The runner has no parameter for it; what it calls has this table.
    operators = launcher.DEFAULT_EXECUTOR_OPERATORS
    before = operators[BeamExecutableSpec]
    operators[BeamExecutableSpec] = Operator
    try:
        yield
    finally:
        operators[BeamExecutableSpec] = before
