"""What a run would do, found out without doing it: the stages that are left, and the recipe.

Nothing is written to the run's folder: TFX is asked, stage by stage, on a copy of its metadata.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.recipe import Decision, Recipe, SceneProfile
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.log.spans import list_log_files
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.tuning.by_hand import given_values
from adarec_tf.tuning.priors import teacher_decisions
from adarec_tf.tuning.scene_profile import profile_scene
from adarec_tf.tuning.student_recipe import foresee_student
from components.input_spans import LogIdentity
from components.recipes import read_recipe
from pipeline.local_runner import compile_stages, continue_run
from pipeline.results import RunRecord, read_runs
from pipeline.scene_data import GENERATED_SCENES, locate_data
from pipeline.screen import STAGES
from pipeline.warm_start import describe_start, find_warm_start
from pipeline.workdir import Workdir

# Of a log that is read for its statistics, in some seconds.
_MAX_LOG_BYTES = 20_000_000


class RunPlan(NamedTuple):
    """What a run would do.

    Attributes:
      start: what it would continue from, in a line; "" of a run that begins anew.
      is_cached: whether a stage has its result already, by node id.
      basis: where its recipe comes from, in a sentence.
      decisions: the recipe's, or what the scene's profile says before anything is tried; none of
        what was given by hand.
    """

    start: str
    is_cached: dict[str, bool]
    basis: str
    decisions: tuple[Decision, ...]


def plan_run(
    config: PipelineConfig,
    data_path: str | os.PathLike[str] | None,
    folder: Workdir,
    warm_start: str = "",
    search_again: bool = False,
) -> RunPlan:
    """Looks at what a run with the same arguments would do.

    Args:
      config: the run's settings.
      data_path: a file or folder of raw interactions, or a pattern of daily folders; None for a
        scene that can be generated.
      folder: the run's, which need not exist.
      warm_start: `last`, `last-or-cold`, or "" for a run that begins anew.
      search_again: whether a run that continues searches its student's architecture again.

    Raises:
      ValueError: there is no earlier run and there should be, or it has other settings.
    """
    is_cached = dict.fromkeys(STAGES, False)
    outputs: dict[str, Any] = {}
    start = None
    if folder.metadata.exists():
        path = os.path.abspath(locate_data(config.scene, data_path, folder.data))
        config, start = continue_run(config, path, folder, warm_start, search_again)
        with _copied(folder) as copy:
            is_cached = find_cached(compile_stages(config, path, copy, start))
            outputs = _latest(copy).outputs
    elif warm_start:
        find_warm_start(folder.metadata, LogIdentity(0, ""), warm_start)
    basis, decisions = _recipe(config, data_path, is_cached, outputs)
    decisions = tuple(one for one in decisions if one.setting not in config.fixed)
    return RunPlan(describe_start(start) if warm_start else "", is_cached, basis, decisions)


def find_cached(pipeline: Any) -> dict[str, bool]:
    """Which stages have a result, in the metadata that the pipeline names; none is executed.

    Args:
      pipeline: compiled; its metadata gets a run whose stages are cached, as far as they are.

    Returns:
      Whether a stage and all before it have results, by node id.
    """
    found: dict[str, bool] = {}

    class Lookup(launcher.Launcher):
        def launch(self) -> None:
            node = self._pipeline_node
            is_ready = all(found[name] for name in node.upstream_nodes)
            # Publishes what is cached, where the stages after this one look for it.
            found[node.node_info.id] = (
                is_ready and not self._prepare_execution().is_execution_needed
            )

    before = launcher.Launcher
    launcher.Launcher = Lookup
    try:
        LocalDagRunner().run_with_ir(pipeline)
    finally:
        launcher.Launcher = before
    return found


@contextmanager
def _copied(folder: Workdir) -> Iterator[Workdir]:
    """The folder, with a copy of its metadata and another place for what stages write."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Workdir(folder.root)
        copy.metadata, copy.pipeline = Path(scratch) / "metadata.sqlite", Path(scratch) / "pipeline"
        # A run may be at work: SQLite copies a state, not a file.
        with (
            closing(sqlite3.connect(f"file:{folder.metadata}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy.metadata)) as target,
        ):
            source.backup(target)
        yield copy


def _latest(folder: Workdir) -> RunRecord:
    return read_runs(folder.metadata)[-1]


def _recipe(
    config: PipelineConfig,
    data_path: str | os.PathLike[str] | None,
    is_cached: dict[str, bool],
    outputs: dict[str, Any],
) -> tuple[str, tuple[Decision, ...]]:
    """The recipe's decisions, and where they come from."""
    if config.effort == "none":
        return "The settings are those of a recipe: nothing is tried.", ()
    if is_cached["StudentSearcher"]:
        recipe = read_recipe(outputs["StudentSearcher"]["student_recipe"].uri)
        return _basis(recipe), recipe.decisions
    if is_cached["TeacherTuner"]:
        recipe = read_recipe(outputs["TeacherTuner"]["recipe"].uri)
        basis = _basis(recipe)
    else:
        scene = _scene(config, data_path, is_cached, outputs)
        if scene is None:
            return "The recipe is decided when the log has been read, which is large.", ()
        decided = teacher_decisions(scene, config.effort)
        decisions = tuple(one for one in decided if one.setting not in config.fixed)
        recipe = Recipe(effort=config.effort, scene=scene, decisions=decisions)
        basis = f"What the recipe begins with, of {_in_words(scene)}:"
    stages = {name: getattr(config, name) for name in ("student", "search", "distillation")}
    complete = foresee_student(
        recipe,
        config.teacher,
        given=given_values(config.fixed, **stages),
        budget=config.evaluation,
        seed=config.seed,
    )
    return basis, complete.decisions


def _basis(recipe: Recipe) -> str:
    return f"The recipe, found by {len(recipe.trials)} trials in an earlier run:"


def _scene(
    config: PipelineConfig,
    data_path: str | os.PathLike[str] | None,
    is_cached: dict[str, bool],
    outputs: dict[str, Any],
) -> SceneProfile | None:
    """The scene's profile; None of a large log that has not been read."""
    if is_cached["SequencePreprocessor"]:
        folder = outputs["SequencePreprocessor"]["sequences"].uri
        return profile_scene(read_histories(folder, "train"), read_statistics(folder))
    if data_path is not None and _num_bytes(config, data_path) > _MAX_LOG_BYTES:
        return None
    source = GENERATED_SCENES[config.scene]() if data_path is None else data_path
    dataset = Dataset.from_config(source, config.data, config.spans)
    return profile_scene(dataset.train, dataset.statistics)


def _num_bytes(config: PipelineConfig, data_path: str | os.PathLike[str]) -> int:
    return sum(map(os.path.getsize, list_log_files(os.fspath(data_path), config.spans)))


def _in_words(scene: SceneProfile) -> str:
    return (
        f"{scene.num_users:,} histories, {scene.num_items:,} items and "
        f"{scene.num_positions:,} positions"
    )
