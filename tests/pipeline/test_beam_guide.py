"""What the guide tells users to give to Beam is what Beam takes."""

import json
import re
import shlex
from pathlib import Path

import pytest

from components.beam_arguments import check_beam_arguments
from pipeline.configs import SCENES

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "benchmarks" / "results"
GUIDE = (ROOT / "docs" / "guides" / "beam-cluster.md").read_text()
BLOCKS: list[str] = re.findall(r"```shell\n(.*?)```", GUIDE, re.DOTALL)


def beam_arguments() -> list[list[str]]:
    # As a shell reads what is between double quotes.
    texts = [re.search(r'--beam-args "((?:[^"\\]|\\.)*)"', block, re.DOTALL) for block in BLOCKS]
    quoted = [text[1] for text in texts if text]
    return [shlex.split(text.replace("\\\n", "").replace('\\"', '"')) for text in quoted]


@pytest.mark.parametrize("arguments", beam_arguments(), ids=lambda arguments: arguments[0])
def test_arguments_for_a_cluster_are_taken(arguments: list[str]) -> None:
    check_beam_arguments(arguments)


def test_every_kind_of_cluster_has_its_arguments() -> None:
    runners = [arguments[0] for arguments in beam_arguments()]
    expected = ["FlinkRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"]
    assert runners == [f"--runner={name}" for name in expected]
    [config] = [part for part in beam_arguments()[1] if part.startswith("--environment_config")]
    assert json.loads(config.partition("=")[2]) == {"command": "/opt/adarec/worker.sh"}


def test_what_is_said_to_be_tried_is_stored() -> None:
    scenes = json.loads((RESULTS / "beam_runners.json").read_text())
    assert set(scenes) == {name for name, config in SCENES.items() if config.effort == "none"}
    for row in scenes.values():
        assert [runner["same_bytes"] for runner in row["runners"].values()] == [True] * 3
        assert len(row["tasks_by_task_manager"]) == 2
    kills = json.loads((RESULTS / "killed_worker.json").read_text())
    assert len(kills) == 3
    for row in kills.values():
        assert row["state_in_the_end"] == "FINISHED"
        assert row["failures_as_flink_tells"]
        assert row["same_bytes_as_the_embedded_runner"]
