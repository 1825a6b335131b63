import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline.kubeflow.resources import DEFAULT_RESOURCES, read_resources
from pipeline.screen import STAGES


def write(folder: Path, text: str) -> Path:
    path = folder / "resources.yaml"
    path.write_text(text)
    return path


def test_a_file_changes_the_fields_that_it_names(tmp_path: Path) -> None:
    text = "TeacherTrainer: {gpus: 2, node_selector: {pool: big}}\nStudentSearcher: {cpu: 8}\n"
    found = read_resources(write(tmp_path, text))
    default = DEFAULT_RESOURCES.TeacherTrainer
    assert found == DEFAULT_RESOURCES.replace(
        TeacherTrainer=default.replace(gpus=2, node_selector={"pool": "big"}),
        StudentSearcher=DEFAULT_RESOURCES.StudentSearcher.replace(cpu=8),
    )
    as_json = json.dumps(yaml.safe_load(text))
    assert read_resources(write(tmp_path, as_json)) == found


def test_every_step_has_resources() -> None:
    assert list(DEFAULT_RESOURCES.to_dict()) == ["SceneWatch", *STAGES]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Trainer: {gpus: 1}", "`Trainer` should be one of the settings InteractionsGen, Inter"),
        (
            "VersionPusher: {ram: 1}",
            "`VersionPusher.ram` should be one of the settings cpu, gpu_resource, gpus, memory_gb,",
        ),
        ("VersionPusher: {cpu: 0}", "`VersionPusher.cpu` should be greater than 0. Received: "),
        ("VersionPusher: {memory_gb: 2Gi}", "`VersionPusher.memory_gb` should be a number."),
        ("VersionPusher: {gpus: -1}", "`VersionPusher.gpus` should be at least 0"),
        ("VersionPusher: {node_selector: a}", "`VersionPusher.node_selector` should be a JSON obj"),
        ("VersionPusher: 2", "`VersionPusher` should be"),
        ("", "resources.yaml should have fields by step, such as TeacherTrainer: {gpus: 1}."),
        ("a: {", "resources.yaml should be a YAML or JSON file. Received: while parsing"),
    ],
)
def test_a_bad_file_is_one_sentence_with_what_is_valid(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read_resources(write(tmp_path, text))
    assert "\n" not in str(error.value)
