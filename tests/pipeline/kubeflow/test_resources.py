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
    assert list(found) == list(DEFAULT_RESOURCES) == list(STAGES)
    teacher, default = found["TeacherTrainer"], DEFAULT_RESOURCES["TeacherTrainer"]
    assert teacher == default.replace(gpus=2, node_selector={"pool": "big"})
    assert found["StudentSearcher"].cpu == 8
    changed = {step for step in STAGES if found[step] != DEFAULT_RESOURCES[step]}
    assert changed == {"TeacherTrainer", "StudentSearcher"}
    as_json = json.dumps(yaml.safe_load(text))
    assert read_resources(write(tmp_path, as_json)) == found


def test_stages_that_train_get_more_than_those_that_look(tmp_path: Path) -> None:
    light, data, training = (
        DEFAULT_RESOURCES[step] for step in ("SchemaGen", "InteractionsGen", "TeacherTrainer")
    )
    assert light.memory_gb < data.memory_gb < training.memory_gb


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Trainer: {gpus: 1}", "name steps of the pipeline: InteractionsGen, Stat"),
        ("VersionPusher: {ram: 1}", "`ram` should be one of the settings cpu, gpu_resource, gpus"),
        ("VersionPusher: {cpu: 0}", "`cpu` should be greater than 0. Received: cpu=0"),
        ("VersionPusher: {memory_gb: 2Gi}", "VersionPusher in"),
        ("VersionPusher: {memory_gb: 2Gi}", "`memory_gb` should be a number. Received: memory_gb="),
        ("VersionPusher: {gpus: -1}", "`gpus` should be at least 0"),
        ("VersionPusher: {node_selector: pool=big}", "`node_selector` should be a"),
        ("VersionPusher: 2", "should have fields by step, such as TeacherTrainer: {gpus: 1}."),
        ("", "should have fields by step"),
        ("a: {", "should be a YAML or JSON file. Received: while parsing"),
    ],
)
def test_a_bad_file_is_one_sentence_with_what_is_valid(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read_resources(write(tmp_path, text))
    assert "\n" not in str(error.value)
    assert "resources.yaml" in str(error.value)
