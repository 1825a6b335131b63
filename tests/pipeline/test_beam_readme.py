"""What pipeline/README.md tells users to give to Beam is what Beam takes."""

import json
import re
import shlex
from pathlib import Path

import pytest

from components.beam_arguments import check_beam_arguments

README = (Path(__file__).parents[2] / "pipeline" / "README.md").read_text()
BLOCKS: list[str] = re.findall(r"```shell\n(.*?)```", README, re.DOTALL)


def beam_arguments() -> list[list[str]]:
    # As a shell reads what is between double quotes.
    texts = [re.search(r'--beam-args "((?:[^"\\]|\\.)*)"', block, re.DOTALL) for block in BLOCKS]
    quoted = [text[1] for text in texts if text]
    return [
        shlex.split(text.replace("\\\n", "").replace('\\"', '"').replace("$PWD", "/here"))
        for text in quoted
    ]


@pytest.mark.parametrize("arguments", beam_arguments(), ids=lambda arguments: arguments[0])
def test_arguments_for_a_cluster_are_taken(arguments: list[str]) -> None:
    check_beam_arguments(arguments)


def test_every_kind_of_cluster_has_its_arguments() -> None:
    runners = [arguments[0] for arguments in beam_arguments()]
    expected = ["FlinkRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"]
    assert runners == [f"--runner={name}" for name in expected]
    [config] = [part for part in beam_arguments()[0] if part.startswith("--environment_config")]
    command = json.loads(config.partition("=")[2])["command"]
    assert Path(__file__).parents[2].joinpath(command.removeprefix("/here/")).is_file()
