"""What the steps of a compiled pipeline ask of a Kubeflow cluster.

It is apart from the settings of a run: the same scene is compiled for clusters that differ.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import Field, NonNegativeInt, PositiveFloat

from adarec_tf.config.base import Config, Name


class StepResources(Config):
    """What a step asks for; the defaults are those of a step that reads all data."""

    cpu: PositiveFloat = 2.0
    """Cores requested; more are used where they are free."""
    memory_gb: PositiveFloat = 4.0
    """Memory requested and at most, in 10^9 bytes."""
    gpus: NonNegativeInt = 0
    """GPUs requested."""
    gpu_resource: Name = "nvidia.com/gpu"
    """The cluster's name of GPUs."""
    node_selector: dict[str, str] = Field(default={})
    """Labels that the step's node has to have."""


class LightStepResources(StepResources):
    """What a step asks for that only looks."""

    cpu: PositiveFloat = 1.0
    memory_gb: PositiveFloat = 2.0


class TrainingStepResources(StepResources):
    """What a step asks for that trains."""

    cpu: PositiveFloat = 4.0
    memory_gb: PositiveFloat = 8.0


class PipelineResources(Config):
    """What every step asks for, by the name that Kubeflow shows."""

    SceneWatch: StepResources = StepResources()
    InteractionsGen: StepResources = StepResources()
    StatisticsGen: StepResources = StepResources()
    SchemaGen: LightStepResources = LightStepResources()
    InteractionsValidator: LightStepResources = LightStepResources()
    SequencePreprocessor: StepResources = StepResources()
    TeacherTuner: TrainingStepResources = TrainingStepResources()
    TeacherTrainer: TrainingStepResources = TrainingStepResources()
    StudentSearcher: TrainingStepResources = TrainingStepResources()
    StudentDistiller: TrainingStepResources = TrainingStepResources()
    RankingEvaluator: StepResources = StepResources()
    ServerValidator: StepResources = StepResources()
    VersionPusher: LightStepResources = LightStepResources()
    ReportWriter: StepResources = StepResources()


DEFAULT_RESOURCES = PipelineResources()


def read_resources(path: Path) -> PipelineResources:
    """Reads what the steps ask for.

    Args:
      path: a YAML or JSON file of fields by step, such as `TeacherTrainer: {gpus: 1}`; a step or a
        field that it does not name is as by default.

    Raises:
      ValueError: a step or a field is unknown (the valid ones are named), a value is not allowed,
        or the file is no mapping.
    """
    try:
        given = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(
            f"{path} should be a YAML or JSON file. Received: {' '.join(str(error).split())}."
        ) from error
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{path} should have fields by step, such as TeacherTrainer: {{gpus: 1}}. "
            f"Received: {given!r}."
        )
    return PipelineResources(**{str(step): fields for step, fields in given.items()})
