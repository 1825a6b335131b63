import re

import pytest

from pipeline.kubeflow.cluster import KubeflowConfig, StepResources, split_settings
from pipeline.stages import STAGES


def test_every_stage_has_its_resources() -> None:
    config = KubeflowConfig()
    found = [config.resources(stage) for stage in STAGES]
    assert found == [value for _, value in config if isinstance(value, StepResources)]


def test_settings_of_the_cluster_are_told_from_those_of_the_run() -> None:
    settings = ["kubeflow.teacher_trainer.gpus=2", "seed=3", "kubeflow.cache_log=true"]
    config, others = split_settings(settings)
    assert others == ["seed=3"]
    assert config.cache_log
    assert config.resources("TeacherTrainer").gpus == 2
    assert config.resources("StudentSearcher").gpus == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "kubeflow.trainer.gpus=1",
            "here one of cache_log, interactions_gen, interactions_validator",
        ),
        (
            "kubeflow.version_pusher.ram=1",
            "here one of cpu, gpu_resource, gpus, memory_gb, node_selector",
        ),
        (
            "kubeflow.version_pusher.cpu=0",
            "`kubeflow.version_pusher.cpu` should be greater than 0. Received: ",
        ),
        (
            "kubeflow.version_pusher.memory_gb=2Gi",
            "should be a number. Received: kubeflow.version_pusher.memory_gb='2Gi'",
        ),
        ("kubeflow.version_pusher.gpus=-1", "`kubeflow.version_pusher.gpus` should be at least 0"),
        (
            "kubeflow.version_pusher.node_selector=pool",
            "`kubeflow.version_pusher.node_selector` should be LABEL=VALUE, several",
        ),
        (
            "kubeflow.version_pusher.node_selector=a=b,",
            "`kubeflow.version_pusher.node_selector` should be LABEL=VALUE, several",
        ),
    ],
)
def test_a_bad_setting_says_what_is_valid(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        split_settings([setting])


def test_node_labels_are_pairs() -> None:
    wanted = StepResources(node_selector="cloud.google.com/gke-accelerator=nvidia-l4,pool=big")
    assert wanted.node_labels == {"cloud.google.com/gke-accelerator": "nvidia-l4", "pool": "big"}
    assert StepResources().node_labels == {}
