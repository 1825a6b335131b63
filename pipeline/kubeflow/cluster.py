"""What the steps of a compiled pipeline ask of a Kubeflow cluster.

Apart from the settings of a run: the same scene is compiled for clusters that differ.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from adarec_tf.config.base import (
    JsonConfig,
    check,
    check_non_negative_integer,
    check_positive_number,
)

# As Kubernetes has it: an optional DNS prefix and a name, and a value that may be empty.
_LABEL = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?=[A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class StepResources(JsonConfig):
    """What one step asks for."""

    cpu: float = 1.0  # cores requested; more are used where they are free
    memory_gb: float = 4.0  # 10^9 bytes, requested and at most
    gpus: int = 0
    gpu_resource: str = "nvidia.com/gpu"  # the cluster's name of them
    node_selector: str = ""  # LABEL=VALUE that its node has to have; several with commas

    def __post_init__(self) -> None:
        check_positive_number(self, "cpu", "memory_gb")
        check_non_negative_integer(self, "gpus")
        check(bool(self.gpu_resource), "gpu_resource", "a non-empty name", self.gpu_resource)
        check(
            all(map(_LABEL.fullmatch, self.node_selector.split(","))) or not self.node_selector,
            *("node_selector", "LABEL=VALUE, several with commas", self.node_selector),
        )

    @property
    def node_labels(self) -> dict[str, str]:
        """The node selector, by label."""
        pairs = self.node_selector.split(",") if self.node_selector else []
        return {label: value for label, _, value in (pair.partition("=") for pair in pairs)}


_LIGHT = StepResources(cpu=1.0, memory_gb=2.0)
_DATA = StepResources(cpu=2.0, memory_gb=4.0)
_TRAINING = StepResources(cpu=4.0, memory_gb=8.0)


@dataclass(frozen=True, kw_only=True)
class KubeflowConfig(JsonConfig):
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
    # Kubeflow does not look into the log before it reuses the step that read it: a log that grows
    # under the same path would never be read again. True for paths whose content never changes.
    cache_log: bool = False

    def resources(self, stage: str) -> StepResources:
        """What a stage asks for, by its id (`TeacherTrainer`)."""
        return getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", stage).lower())


@dataclass(frozen=True, kw_only=True)
class _Settings(JsonConfig):
    kubeflow: KubeflowConfig = field(default_factory=KubeflowConfig)


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
