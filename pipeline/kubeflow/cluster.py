"""What the steps of a compiled pipeline ask of a Kubeflow cluster.

Apart from the settings of a run: the same scene is compiled for clusters that differ.
"""

import re
from collections.abc import Sequence
from typing import Self

from pydantic import NonNegativeInt, PositiveFloat, model_validator

from adarec_tf.config.base import Config, Name, check

# As Kubernetes has it: an optional DNS prefix and a name, and a value that may be empty.
_LABEL = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?=[A-Za-z0-9._-]*")


class StepResources(Config):
    """What one step asks for."""

    cpu: PositiveFloat = 1.0
    """Cores requested; more are used where they are free."""
    memory_gb: PositiveFloat = 4.0
    """Memory requested and at most, in 10^9 bytes."""
    gpus: NonNegativeInt = 0
    """GPUs requested."""
    gpu_resource: Name = "nvidia.com/gpu"
    """The cluster's name of GPUs."""
    node_selector: str = ""
    """LABEL=VALUE that its node has to have; several with commas."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        check(
            all(map(_LABEL.fullmatch, self.node_selector.split(","))) or not self.node_selector,
            "node_selector",
            "LABEL=VALUE, several with commas",
            self.node_selector,
        )
        return self

    @property
    def node_labels(self) -> dict[str, str]:
        """The node selector, by label."""
        pairs = self.node_selector.split(",") if self.node_selector else []
        return {label: value for label, _, value in (pair.partition("=") for pair in pairs)}


_LIGHT = StepResources(cpu=1.0, memory_gb=2.0)
_DATA = StepResources(cpu=2.0, memory_gb=4.0)
_TRAINING = StepResources(cpu=4.0, memory_gb=8.0)


class KubeflowConfig(Config):
    """What every step asks for, by the step's name in snake case."""

    interactions_gen: StepResources = _DATA
    statistics_gen: StepResources = _DATA
    schema_gen: StepResources = _LIGHT
    interactions_validator: StepResources = _LIGHT
    sequence_preprocessor: StepResources = _DATA
    teacher_trainer: StepResources = _TRAINING
    student_searcher: StepResources = _TRAINING
    student_distiller: StepResources = _TRAINING
    ranking_evaluator: StepResources = _DATA
    server_validator: StepResources = _DATA
    version_pusher: StepResources = _LIGHT
    cache_log: bool = False
    """Whether the step that reads the log is reused. Kubeflow does not look into the log first: a
    log that grows under the same path would never be read again."""

    def resources(self, stage: str) -> StepResources:
        """What a stage asks for, by its id (`TeacherTrainer`)."""
        return getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", stage).lower())


class _Settings(Config):
    kubeflow: KubeflowConfig = KubeflowConfig()


def split_settings(settings: Sequence[str]) -> tuple[KubeflowConfig, list[str]]:
    """Takes the settings of the cluster out of a command's.

    Args:
      settings: of the form `kubeflow.step.field=value`, or `stage.field=value`.

    Returns:
      What the former set, and the latter.

    Raises:
      ValueError: a key is unknown (the valid ones are named), or a value is not allowed.
    """
    ours = [text for text in settings if text.startswith("kubeflow.")]
    others = [text for text in settings if not text.startswith("kubeflow.")]
    return _Settings().override(ours).kubeflow, others
