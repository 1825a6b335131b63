"""What a run would do, against runs that did it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.compiler.compiler import Compiler
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.tuning.priors import teacher_decisions
from pipeline import dry_run
from pipeline.dry_run import find_cached, plan_run
from pipeline.local_runner import compile_stages
from pipeline.scene_data import locate_data
from pipeline.screen import STAGES
from pipeline.workdir import Workdir
from tests.adarec_tf.hand_made_recipe import SCENE

CONFIG = PipelineConfig(scene="smoke", effort="standard")
EXECUTED: list[str] = []
Model = tfx.types.standard_artifacts.Model


@tfx.dsl.components.component
def Maker(  # noqa: N802 (a component is named as a class)
    made: tfx.dsl.components.OutputArtifact[Model],
    word: tfx.dsl.components.Parameter[str],
) -> None:
    """Notes that it ran."""
    EXECUTED.append(word)


@tfx.dsl.components.component
def Taker(  # noqa: N802 (a component is named as a class)
    taken: tfx.dsl.components.InputArtifact[Model],
    made: tfx.dsl.components.OutputArtifact[Model],
    word: tfx.dsl.components.Parameter[str],
) -> None:
    """Notes that it ran."""
    EXECUTED.append(word)


def compiled(folder: Path, first: str = "first", second: str = "second") -> Any:
    """One after another, and one aside."""
    one = Maker(word=first).with_id("One")
    two = Taker(taken=one.outputs["made"], word=second).with_id("Two")
    three = Taker(taken=two.outputs["made"], word="third").with_id("Three")
    aside = Taker(taken=one.outputs["made"], word="aside").with_id("Aside")
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config
    pipeline = tfx.dsl.Pipeline(
        *("p", str(folder / "pipeline")),
        components=[one, two, three, aside],
        enable_cache=True,
        metadata_connection_config=connection(str(folder / "metadata.sqlite")),
    )
    return Compiler().compile(pipeline)


def test_stages_are_cached_as_a_run_would_find_them(tmp_path: Path) -> None:
    EXECUTED.clear()
    LocalDagRunner().run_with_ir(compiled(tmp_path / "run"))
    assert sorted(EXECUTED) == ["aside", "first", "second", "third"]
    stock = launcher.Launcher

    def find(name: str, **words: str) -> dict[str, bool]:
        (tmp_path / name).mkdir()
        shutil.copy(tmp_path / "run" / "metadata.sqlite", tmp_path / name)
        return find_cached(compiled(tmp_path / name, **words))

    everything = {"One": True, "Two": True, "Three": True, "Aside": True}
    assert find("same") == everything
    assert find("other", second="another") == {**everything, "Two": False, "Three": False}
    assert find("all", first="another") == dict.fromkeys(everything, False)
    shutil.rmtree(tmp_path / "run" / "pipeline" / "Aside")
    assert find("gone") == {**everything, "Aside": False}
    assert len(EXECUTED) == 4
    assert launcher.Launcher is stock


def test_without_an_earlier_run_everything_runs_and_the_scene_is_looked_at(tmp_path: Path) -> None:
    folder = Workdir(tmp_path / "run")
    plan = plan_run(CONFIG.override(["teacher.dropout=0.9"]), None, folder)
    assert plan.is_cached == dict.fromkeys(STAGES, False)
    assert plan.start == ""
    assert "200 histories, 150 items and" in plan.basis
    settings = {decision.setting: decision.value for decision in plan.decisions}
    assert settings["teacher.name"] == "sasrec"
    assert settings["student.precision"] == "int4"
    assert "teacher.dropout" not in settings  # given by hand
    expected = {one.setting for one in teacher_decisions(SCENE, "standard")} - {"teacher.dropout"}
    assert expected <= set(settings)
    assert not folder.root.exists()


def test_a_scene_with_a_recipe_has_nothing_to_decide(tmp_path: Path) -> None:
    plan = plan_run(CONFIG.replace(effort="none"), None, Workdir(tmp_path / "run"))
    assert plan.decisions == ()
    assert "nothing is tried" in plan.basis


def test_a_large_log_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = locate_data("smoke", None, tmp_path)
    small = plan_run(CONFIG, log, Workdir(tmp_path / "run"))
    assert small.decisions == plan_run(CONFIG, None, Workdir(tmp_path / "run")).decisions != ()
    monkeypatch.setattr(dry_run, "_MAX_LOG_BYTES", 100)
    plan = plan_run(CONFIG, log, Workdir(tmp_path / "run"))
    assert plan.decisions == ()
    assert "when the log has been read" in plan.basis


def test_an_earlier_run_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--warm-start last should find .* Received: no run"):
        plan_run(CONFIG, None, Workdir(tmp_path), "last")
    assert plan_run(CONFIG, None, Workdir(tmp_path), "last-or-cold").start.startswith("Cold start")


@pytest.mark.slow
def test_what_a_run_has_done_is_cached_and_its_statistics_are_used(tmp_path: Path) -> None:
    folder = Workdir(tmp_path / "run")
    folder.root.mkdir()
    before = plan_run(CONFIG, None, folder)
    path = locate_data("smoke", None, folder.data)
    stages = compile_stages(CONFIG, path, folder, None)
    done = list(STAGES)[:5]
    while len(stages.nodes) > len(done):
        stages.nodes.pop()
    LocalDagRunner().run_with_ir(stages)
    files = {file: file.stat().st_mtime_ns for file in folder.root.rglob("*")}
    plan = plan_run(CONFIG, None, folder)
    assert [stage for stage, is_cached in plan.is_cached.items() if is_cached] == done
    assert (plan.basis, plan.decisions) == (before.basis, before.decisions)
    assert {file: file.stat().st_mtime_ns for file in folder.root.rglob("*")} == files
    other = plan_run(CONFIG.override(["data.min_user_interactions=4"]), None, folder)
    assert [stage for stage, is_cached in other.is_cached.items() if is_cached] == done[:4]
