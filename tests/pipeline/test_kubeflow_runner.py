import importlib
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import components as kfp_components
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.configs import SCENES
from pipeline.kubeflow_runner import compile_pipeline
from pipeline.stages import STAGES


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kubeflow") / "pipeline.yaml"
    compile_pipeline(SCENES["smoke"](), path, image="registry.example/adarec:1")
    return path


@pytest.fixture(scope="module")
def spec(compiled: Path) -> pipeline_spec_pb2.PipelineSpec:
    return json_format.ParseDict(
        yaml.safe_load(compiled.read_text()),
        pipeline_spec_pb2.PipelineSpec(),
        ignore_unknown_fields=False,
    )


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
    for stage in ("TeacherTrainer", "StudentSearcher", "StudentDistiller"):
        assert "SequencePreprocessor" in tasks[stage].dependent_tasks


def test_paths_are_those_of_the_containers(spec: pipeline_spec_pb2.PipelineSpec) -> None:
    pusher = spec.root.dag.tasks["Pusher"].inputs.parameters
    assert (
        pusher["serving_dir"].runtime_value.constant.string_value == "/mnt/adarec/serving/student"
    )
    trainer = spec.root.dag.tasks["TeacherTrainer"].inputs.parameters
    checkpoint_dir = trainer["checkpoint_dir"].runtime_value.constant.string_value
    assert checkpoint_dir == "/mnt/adarec/checkpoints"
    log_dir = trainer["log_dir"].runtime_value.constant.string_value
    assert log_dir == "/mnt/adarec/tensorboard"


def test_every_step_runs_in_the_given_image(spec: pipeline_spec_pb2.PipelineSpec) -> None:
    executors = spec.deployment_spec.fields["executors"].struct_value.fields
    images = {
        executor.struct_value.fields["container"].struct_value.fields["image"].string_value
        for executor in executors.values()
    }
    assert images == {"registry.example/adarec:1"}


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
    assert {name.partition(".")[2] for name in ours} == {"Sequences", "Vocabulary", "Genotype"}
    for name in ours:
        module, _, attribute = name.rpartition(".")
        artifact_class = getattr(importlib.import_module(module), attribute)
        assert name == artifact_class.TYPE_NAME


def test_kubeflows_own_loader_accepts_the_file(compiled: Path) -> None:
    loaded = kfp_components.load_component_from_file(str(compiled))
    assert loaded.name == "adarec-smoke"


@pytest.mark.parametrize(
    ("name", "message"),
    [("pipeline.json", r"end in .yaml or .yml. Received: "), ("no/p.yaml", "existing folder")],
)
def test_a_bad_output_path_is_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_pipeline(SCENES["smoke"](), tmp_path / name)
