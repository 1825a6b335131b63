"""What a local run does with Beam arguments, recipes and earlier runs."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import BeamComponentParameter

from adarec_tf.config.pipeline import PipelineConfig
from components.recipes import write_recipe
from pipeline import local_runner
from pipeline.configs import scene_config
from pipeline.local_runner import run_stages, uncached_beam_arguments
from pipeline.warm_start import WarmStart
from pipeline.workdir import Workdir
from tests.adarec_tf.hand_made_recipe import recipe

SEEN: list[int] = []


@tfx.dsl.components.component(use_beam=True)
def Recorder(  # noqa: N802 (a component is named as a class)
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Notes how many workers it was given."""
    SEEN.append(beam_pipeline.options.view_as(DirectOptions).direct_num_workers)


def run(folder: Path, *arguments: str) -> list[int]:
    """Runs the recorder; returns what it saw, which is nothing if its result was cached."""
    pipeline = tfx.dsl.Pipeline(
        *("p", str(folder / "pipeline")),
        components=[Recorder()],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(folder / "metadata.sqlite")
        ),
        beam_pipeline_args=["--runner=FnApiRunner", "--direct_num_workers=2"],
    )
    SEEN.clear()
    with uncached_beam_arguments(arguments):
        tfx.orchestration.LocalDagRunner().run(pipeline)
    return list(SEEN)


def test_another_number_of_workers_is_used_but_makes_no_result_stale(tmp_path: Path) -> None:
    assert run(tmp_path / "a", "--direct_num_workers=3") == [3]
    assert run(tmp_path / "a", "--direct_num_workers=4") == []
    assert run(tmp_path / "a") == []
    assert run(tmp_path / "b") == [2]  # of the pipeline: the block's are gone


@pytest.fixture
def folder(tmp_path: Path) -> Workdir:
    made = Workdir(tmp_path / "run")
    made.root.mkdir()
    return made


def stop_with(calls: list[Any]) -> Callable[[Any], None]:
    """What notes its argument and goes no further."""

    def stop(argument: Any) -> None:
        calls.append(argument)
        raise ValueError("stop here")

    return stop


def run_until_training(
    config: PipelineConfig, folder: Workdir, monkeypatch: pytest.MonkeyPatch, warm_start: str = ""
) -> PipelineConfig:
    """Runs the stages but for what they do; returns the settings that they have."""
    given: list[PipelineConfig] = []

    def stop(config: PipelineConfig, *others: Any) -> None:
        given.append(config)
        raise ValueError("stop here")

    monkeypatch.setattr(local_runner, "_run", stop)
    with pytest.raises(ValueError, match="stop here"):
        run_stages(config, None, folder, [], warm_start, False, "", lambda line: None)
    return given[0]


def test_the_report_is_told_the_titles_of_items(
    folder: Workdir, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(
        local_runner, "LocalDagRunner", lambda: SimpleNamespace(run_with_ir=stop_with(compiled))
    )
    with pytest.raises(ValueError, match="stop here"):
        run_stages(
            scene_config("smoke"), None, folder, [], "", False, "/my/titles.csv", lambda line: None
        )
    [pipeline] = compiled
    [report] = [
        node.pipeline_node
        for node in pipeline.nodes
        if node.pipeline_node.node_info.id == "ReportWriter"
    ]
    titles = report.parameters.parameters["item_titles"].field_value.string_value
    assert titles == "/my/titles.csv"


def test_a_run_leaves_its_recipe_also_where_a_later_stage_fails(
    folder: Workdir, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = scene_config("smoke")
    run_until_training(config, folder, monkeypatch)
    assert not folder.recipe.exists()
    found = {"effort": "quick", "settings": {"compute_dtype": "float32"}}
    asked = []
    monkeypatch.setattr(local_runner, "recipe_of", lambda *given: asked.append(given) or found)
    run_until_training(config, folder, monkeypatch)
    assert json.loads(folder.recipe.read_text()) == found
    assert asked == [(config, folder.metadata)]


def continue_from(
    recipe_dir: str, given: PipelineConfig, folder: Workdir, monkeypatch: pytest.MonkeyPatch
) -> PipelineConfig:
    """The settings of a run that continues from one with this recipe."""
    start = WarmStart("a day", "", recipe_dir, "/vocabulary", "/teacher", "", "")
    monkeypatch.setattr(local_runner, "find_warm_start", lambda *given: start)
    monkeypatch.setattr(
        local_runner, "warm_config", lambda config, start, **options: (config, start)
    )
    return run_until_training(given, folder, monkeypatch, warm_start="last")


def test_a_run_that_continues_has_the_settings_of_the_earlier_recipe(
    folder: Workdir, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = recipe(teacher__name="sasrec", teacher__dropout=0.6, student__hidden_dim=24)
    write_recipe(str(folder.root), earlier)
    given = PipelineConfig(scene="smoke", effort="standard").override(["teacher.dropout=0.1"])
    config = continue_from(str(folder.root), given, folder, monkeypatch)
    assert config == given.with_recipe(earlier)
    assert (config.effort, config.teacher.name, config.teacher.dropout) == ("none", "sasrec", 0.1)


def test_a_run_that_continues_from_one_without_a_recipe_decides_nothing(
    folder: Workdir, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = PipelineConfig(scene="smoke", effort="standard").override(["teacher.dropout=0.1"])
    assert continue_from("", given, folder, monkeypatch) == given.replace(effort="none")


def test_the_report_is_copied_into_the_folder_of_the_run(folder: Workdir, tmp_path: Path) -> None:
    made = tmp_path / "artifact"
    made.mkdir()
    for name in ("report.html", "report.json"):
        (made / name).write_text(f"new {name}")
        (folder.root / name).write_text(f"of an earlier run: {name}")
    paths: dict[str, str | None] = {"report": str(made / "report.html"), "front": None}
    local_runner._place_report(paths, folder)
    assert paths == {"report": str(folder.report), "front": None}
    assert folder.report.read_text() == "new report.html"
    assert folder.report_facts.read_text() == "new report.json"


def test_no_report_of_an_earlier_run_stands_for_one_that_could_not_be_made(
    folder: Workdir,
) -> None:
    for path in (folder.report, folder.report_facts):
        path.write_text("of an earlier run")
    paths: dict[str, str | None] = {"report": None}
    local_runner._place_report(paths, folder)
    assert paths == {"report": None}
    assert list(folder.root.iterdir()) == []
