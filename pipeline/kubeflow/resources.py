"""What the steps of a compiled pipeline ask of a Kubeflow cluster.

A file says where a step differs from the defaults. It is apart from the settings of a run: the same
scene is compiled for clusters that differ.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, NonNegativeInt, PositiveFloat

from adarec_tf.config.base import Config, Name
from pipeline.screen import STAGES


class StepResources(Config):
    """What one step asks for."""

    cpu: PositiveFloat
    """Cores requested; more are used where they are free."""
    memory_gb: PositiveFloat
    """Memory requested and at most, in 10^9 bytes."""
    gpus: NonNegativeInt = 0
    """GPUs requested."""
    gpu_resource: Name = "nvidia.com/gpu"
    """The cluster's name of GPUs."""
    node_selector: dict[str, str] = Field(default={})
    """Labels that the step's node has to have."""


_LIGHT = StepResources(cpu=1.0, memory_gb=2.0)
_DATA = StepResources(cpu=2.0, memory_gb=4.0)
_TRAINING = StepResources(cpu=4.0, memory_gb=8.0)
_OF_A_KIND = {
    "SchemaGen": _LIGHT,
    "InteractionsValidator": _LIGHT,
    "VersionPusher": _LIGHT,
    "TeacherTrainer": _TRAINING,
    "StudentSearcher": _TRAINING,
    "StudentDistiller": _TRAINING,
}
DEFAULT_RESOURCES = {step: _OF_A_KIND.get(step, _DATA) for step in STAGES}


def read_resources(path: Path) -> dict[str, StepResources]:
    """Reads what each step asks for.

    Args:
      path: a YAML or JSON file of fields by step, such as `TeacherTrainer: {gpus: 1}`; what it does
        not have is as in `DEFAULT_RESOURCES`.

    Returns:
      The resources of every step.

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
    if not isinstance(given, Mapping) or not all(isinstance(v, Mapping) for v in given.values()):
        raise ValueError(
            f"{path} should have fields by step, such as TeacherTrainer: {{gpus: 1}}. "
            f"Received: {given!r}."
        )
    if unknown := sorted(given.keys() - DEFAULT_RESOURCES.keys()):
        raise ValueError(
            f"{path} should name steps of the pipeline: {', '.join(STAGES)}. "
            f"Received: {', '.join(map(repr, unknown))}."
        )
    return {
        step: _with_fields(path, step, resources, given.get(step, {}))
        for step, resources in DEFAULT_RESOURCES.items()
    }


def _with_fields(
    path: Path, step: str, resources: StepResources, fields: Mapping[str, Any]
) -> StepResources:
    try:
        return resources.replace(**fields)
    except ValueError as error:
        raise ValueError(f"{step} in {path}: {error}") from error
