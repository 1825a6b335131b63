"""ML Metadata as LocalDagRunner leaves it: a run that failed, and one that used a cache."""

import json
from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata

from components.recipes import write_recipe
from pipeline.configs import custom_config, scene_config
from pipeline.results import computing_seconds, read_runs, recipe_of
from tests.adarec_tf.hand_made_recipe import recipe


class Recorder:
    """Writes runs whose stages each have one output."""

    def __init__(self, store: MetadataStore) -> None:
        self.store = store
        self.contexts = {
            name: store.put_context_type(mlmd.ContextType(name=name))
            for name in ("pipeline_run", "node")
        }
        self.stage = store.put_execution_type(mlmd.ExecutionType(name="stage"))
        self.kind = store.put_artifact_type(mlmd.ArtifactType(name="thing"))
        self.nodes: dict[str, mlmd.Context] = {}

    def context(self, kind: str, name: str) -> mlmd.Context:
        [number] = self.store.put_contexts([mlmd.Context(type_id=self.contexts[kind], name=name)])
        [made] = self.store.get_contexts_by_id([number])
        return made

    def artifact(self, uri: str) -> mlmd.Artifact:
        [number] = self.store.put_artifacts([mlmd.Artifact(type_id=self.kind, uri=uri)])
        [made] = self.store.get_artifacts_by_id([number])
        return made

    def execute(
        self,
        run: mlmd.Context,
        node: str,
        state: int,
        artifact: mlmd.Artifact,
        key: str = "model",
    ) -> None:
        if node not in self.nodes:
            self.nodes[node] = self.context("node", f"adarec-smoke.{node}")
        step = mlmd.Event.Path.Step(key=key)
        event = mlmd.Event(type=mlmd.Event.OUTPUT, path=mlmd.Event.Path(steps=[step]))
        execution = mlmd.Execution(type_id=self.stage, last_known_state=state)
        self.store.put_execution(execution, [(artifact, event)], [run, self.nodes[node]])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.sqlite"
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(path))) as handle:
        recorder = Recorder(handle.store)
        teacher, failed, student = map(recorder.artifact, ("/teacher", "/failed", "/student"))
        first, second = (recorder.context("pipeline_run", name) for name in ("one", "two"))
        recorder.execute(first, "TeacherTrainer", mlmd.Execution.COMPLETE, teacher)
        recorder.execute(first, "StudentDistiller", mlmd.Execution.FAILED, failed)
        recorder.execute(second, "TeacherTrainer", mlmd.Execution.CACHED, teacher)
        recorder.execute(second, "StudentDistiller", mlmd.Execution.COMPLETE, student)
    return path


def test_runs_come_in_order_with_what_was_done(path: Path) -> None:
    first, second = read_runs(path)
    assert first.started_at <= second.started_at
    assert {name: outputs["model"].uri for name, outputs in first.outputs.items()} == {
        "TeacherTrainer": "/teacher"
    }
    assert {name: outputs["model"].uri for name, outputs in second.outputs.items()} == {
        "TeacherTrainer": "/teacher",
        "StudentDistiller": "/student",
    }


def test_the_seconds_of_a_reused_result_are_those_of_the_run_that_made_it(path: Path) -> None:
    first, second = read_runs(path)
    reused = computing_seconds(path, second)["TeacherTrainer"]
    assert reused == computing_seconds(path, first)["TeacherTrainer"]
    assert reused >= 0


def test_a_workdir_without_runs_has_none_and_stays_as_it_is(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "metadata.sqlite") == []
    assert list(tmp_path.iterdir()) == []


def test_the_recipe_of_a_run_repeats_its_settings_without_trials(
    path: Path, tmp_path: Path
) -> None:
    config = scene_config("sample").override(
        ["effort=standard", "training.patience=9", "data.user_column=who", "seed=7"]
    )
    assert recipe_of(config, path) is None  # its newest run has none yet
    found = recipe(teacher__name="sasrec", training__patience=2, student__hidden_dim=24)
    (tmp_path / "recipe").mkdir()
    write_recipe(str(tmp_path / "recipe"), found)
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(path))) as handle:
        recorder = Recorder(handle.store)
        artifact = recorder.artifact(str(tmp_path / "recipe"))
        third = recorder.context("pipeline_run", "three")
        of_teacher, done = recorder.artifact("/recipe"), mlmd.Execution.COMPLETE
        recorder.execute(third, "TeacherTuner", done, of_teacher, "recipe")
        assert recipe_of(config, path) is None  # its student is not decided yet
        recorder.execute(third, "StudentSearcher", done, artifact, "student_recipe")
    content = recipe_of(config, path)
    assert content is not None
    settings = content.pop("settings")
    assert content == found.to_dict()

    written = tmp_path / "recipe.json"
    written.write_text(json.dumps({**content, "settings": settings}))
    repeated, decided = custom_config("/data/log.csv", str(written)), config.with_recipe(found)
    assert repeated.effort == "none"
    assert (repeated.scene, repeated.data.user_column) == ("log", "who")
    assert (repeated.training.patience, repeated.student.hidden_dim) == (9, 24)
    for stage in ("data", "teacher", "training", "student", "search", "distillation"):
        assert getattr(repeated, stage) == getattr(decided, stage)
    assert repeated.compute_dtype == decided.compute_dtype
