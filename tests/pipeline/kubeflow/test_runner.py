import importlib
import re
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp import components as kfp_components
from kfp.pipeline_spec import pipeline_spec_pb2

from adarec_tf.config.watch import WatchConfig
from pipeline.configs import SCENES
from pipeline.kubeflow.resources import PipelineResources
from pipeline.kubeflow.runner import compile_pipeline
from pipeline.screen import STAGES
from tests.pipeline.kubeflow.emulator import read_spec

GPU_NODES = {"cloud.google.com/gke-accelerator": "nvidia-l4"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kubeflow") / "pipeline.yaml"
    resources = {
        "TeacherTrainer": {"gpus": 1, "node_selector": GPU_NODES},
        "StudentSearcher": {"gpus": 2},
        "RankingEvaluator": {"cpu": 1.5, "memory_gb": 3},
    }
    compile_pipeline(
        SCENES["smoke"],
        path,
        resources=PipelineResources(**resources),
        image="registry.example/adarec:1",
        volume_claim="shared",
        pipeline_root="s3://bucket/adarec",
    )
    return path


@pytest.fixture(scope="module")
def spec(compiled: Path) -> pipeline_spec_pb2.PipelineSpec:
    return read_spec(compiled)[0]


@pytest.fixture(scope="module")
def containers(
    spec: pipeline_spec_pb2.PipelineSpec,
) -> dict[str, pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec]:
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(json_format.MessageToDict(spec.deployment_spec), deployment)
    return {
        name: deployment.executors[component.executor_label].container
        for name, component in spec.components.items()
    }


@pytest.fixture(scope="module")
def pods(compiled: Path) -> dict[str, dict]:
    """What only Kubernetes has, by executor."""
    kubernetes = read_spec(compiled)[1].platforms["kubernetes"]
    return json_format.MessageToDict(kubernetes.deployment_spec)["executors"]


def test_the_spec_is_of_the_current_schema(spec: pipeline_spec_pb2.PipelineSpec) -> None:
    assert spec.schema_version == "2.1.0"
    assert spec.pipeline_info.name == "adarec-smoke"


def test_every_stage_is_a_task(spec: pipeline_spec_pb2.PipelineSpec) -> None:
    assert set(STAGES) == set(spec.root.dag.tasks)


def test_nothing_is_trained_before_the_validator_has_passed(
    spec: pipeline_spec_pb2.PipelineSpec,
) -> None:
    tasks = spec.root.dag.tasks
    assert "InteractionsValidator" in tasks["SequencePreprocessor"].dependent_tasks
    for stage in ("TeacherTuner", "TeacherTrainer", "StudentSearcher", "StudentDistiller"):
        assert "SequencePreprocessor" in tasks[stage].dependent_tasks


def test_paths_are_those_of_the_containers(spec: pipeline_spec_pb2.PipelineSpec) -> None:
    pusher = spec.root.dag.tasks["VersionPusher"].inputs.parameters
    assert (
        pusher["serving_dir"].runtime_value.constant.string_value == "/mnt/adarec/serving/student"
    )
    trainer = spec.root.dag.tasks["TeacherTrainer"].inputs.parameters
    checkpoint_dir = trainer["checkpoint_dir"].runtime_value.constant.string_value
    assert checkpoint_dir == "/mnt/adarec/checkpoints"
    log_dir = trainer["log_dir"].runtime_value.constant.string_value
    assert log_dir == "/mnt/adarec/tensorboard"


def test_every_step_is_our_command_in_the_given_image(containers: dict) -> None:
    assert set(containers) == set(STAGES)
    for container in containers.values():
        assert container.image == "registry.example/adarec:1"
        assert list(container.command) == ["python", "-m", "pipeline.kubeflow.step"]


def test_every_step_is_told_where_its_artifacts_are(
    spec: pipeline_spec_pb2.PipelineSpec, containers: dict
) -> None:
    for name, container in containers.items():
        component, args = spec.components[name], list(container.args)
        inputs, outputs = component.input_definitions, component.output_definitions
        for side, definitions in (("input", inputs), ("output", outputs)):
            given = [args[i + 1] for i, arg in enumerate(args) if arg == f"--{side}_path"]
            assert sorted(given) == [
                f"{key}={{{{$.{side}s.artifacts['{key}'].path}}}}"
                for key in sorted(definitions.artifacts)
            ]
    assert any(arg.startswith("teacher={{$.inputs") for arg in containers["RankingEvaluator"].args)


def test_steps_ask_for_what_they_were_given(containers: dict, pods: dict[str, dict]) -> None:
    evaluator = containers["RankingEvaluator"].resources
    assert (evaluator.cpu_request, evaluator.memory_request) == (1.5, 3.0)
    assert evaluator.memory_limit == 3.0
    assert not evaluator.HasField("accelerator")
    counts = {
        name: (container.resources.accelerator.type, container.resources.accelerator.count)
        for name, container in containers.items()
        if container.resources.HasField("accelerator")
    }
    assert counts == {
        "TeacherTrainer": ("nvidia.com/gpu", 1),
        "StudentSearcher": ("nvidia.com/gpu", 2),
    }
    selectors = {name: pod["nodeSelector"] for name, pod in pods.items() if "nodeSelector" in pod}
    assert selectors == {"TeacherTrainer_executor": {"labels": GPU_NODES}}


def test_the_volume_is_mounted_in_every_step(
    spec: pipeline_spec_pb2.PipelineSpec, pods: dict[str, dict]
) -> None:
    assert set(pods) == {component.executor_label for component in spec.components.values()}
    for pod in pods.values():
        assert pod["pvcMount"] == [{"constant": "shared", "mountPath": "/mnt/adarec"}]


def test_artifacts_go_to_the_object_store(spec: pipeline_spec_pb2.PipelineSpec) -> None:
    assert spec.default_pipeline_root == "s3://bucket/adarec"


def _cached(spec: pipeline_spec_pb2.PipelineSpec) -> set[str]:
    tasks = spec.root.dag.tasks
    return {name for name, task in tasks.items() if task.caching_options.enable_cache}


def test_a_growing_log_and_the_serving_folder_are_looked_at_in_every_run(
    spec: pipeline_spec_pb2.PipelineSpec,
) -> None:
    assert _cached(spec) == set(STAGES) - {"InteractionsGen", "VersionPusher"}


def test_behind_a_gate_every_step_waits_for_the_one_with_the_condition(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yml"
    compile_pipeline(SCENES["smoke"], path, watch=WatchConfig(min_gain=0.05))
    spec = read_spec(path)[0]
    tasks = spec.root.dag.tasks
    assert set(tasks) == {"SceneWatch", *STAGES}
    limits = tasks["SceneWatch"].inputs.parameters["watch_config"].runtime_value.constant
    assert WatchConfig.from_json(limits.string_value) == WatchConfig(min_gain=0.05)
    assert {name for name, task in tasks.items() if task.trigger_policy.condition} == {
        "InteractionsGen"
    }
    assert {name for name, task in tasks.items() if not task.dependent_tasks} == {"SceneWatch"}
    assert tasks["InteractionsGen"].dependent_tasks == ["SceneWatch"]
    first = [name for name, task in tasks.items() if "SceneWatch" in task.dependent_tasks]
    assert first == ["InteractionsGen"]
    assert _cached(spec) == set(STAGES) - {"InteractionsGen", "VersionPusher"}


def test_a_log_that_never_changes_is_cached(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yml"
    compile_pipeline(SCENES["smoke"], path, cache_log=True)
    spec = read_spec(path)[0]
    assert _cached(spec) == set(STAGES) - {"VersionPusher"}
    assert spec.default_pipeline_root == ""


def test_artifact_types_can_be_imported_by_their_names(
    spec: pipeline_spec_pb2.PipelineSpec,
) -> None:
    titles = {
        artifact.artifact_type.schema_title or artifact.artifact_type.instance_schema
        for component in spec.components.values()
        for artifact in component.output_definitions.artifacts.values()
    }
    ours = {
        line.partition("title: ")[2].strip()
        for title in titles
        for line in title.splitlines()
        if "title: components." in line
    } | {title for title in titles if title.startswith("components.")}
    names = {name.partition(".")[2] for name in ours}
    assert names == {"Sequences", "Vocabulary", "Recipe", "Genotype", "Report"}
    for name in ours:
        module, _, attribute = name.rpartition(".")
        artifact_class = getattr(importlib.import_module(module), attribute)
        assert name == artifact_class.TYPE_NAME


def test_kubeflows_own_loader_accepts_the_file(compiled: Path) -> None:
    loaded = kfp_components.load_component_from_file(str(compiled))
    assert loaded.name == "adarec-smoke"


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_every_scene_compiles(scene: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    compile_pipeline(SCENES[scene], path)
    spec, _ = read_spec(path)
    assert spec.pipeline_info.name == f"adarec-{scene.replace('_', '-')}"
    assert [child.name for child in tmp_path.iterdir()] == ["pipeline.yaml"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("pipeline.json", r"end in .yaml or .yml. Received: "), ("no/p.yaml", "existing folder")],
)
def test_a_bad_output_path_is_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_pipeline(SCENES["smoke"], tmp_path / name)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"root": "gs://bucket/adarec"}, "(artifacts can be in one: --pipeline-root). Received: g"),
        ({"root": "adarec"}, "--root should be the absolute path where the volume is mounted"),
        ({"root": "/"}, "--root should be the absolute path where the volume is mounted"),
        ({"data_path": "s3://bucket/log.csv"}, "such as /mnt/adarec/data/interactions.csv."),
        ({"pipeline_root": "/mnt/adarec"}, "gs://BUCKET/PATH, minio://BUCKET/PATH, s3://BUCKET/"),
        ({"pipeline_root": "s3://"}, "should be a bucket that Kubeflow's launcher can copy to"),
        ({"pipeline_root": "hdfs://a/b"}, "should be a bucket that Kubeflow's launcher can copy"),
    ],
)
def test_a_place_that_steps_cannot_use_is_one_sentence(
    tmp_path: Path, place: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        compile_pipeline(SCENES["smoke"], tmp_path / "pipeline.yaml", **place)
    assert list(tmp_path.iterdir()) == []
