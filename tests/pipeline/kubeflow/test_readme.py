"""What pipeline/kubeflow/README.md tells users to type is what the tools take."""

import re
import shlex
from pathlib import Path
from typing import Any
from unittest import mock

import kfp
import kfp_server_api
import pytest
import yaml
from click.testing import CliRunner

from adarec_tf.cli import main
from pipeline.configs import SCENES
from pipeline.kubeflow import runner as kubeflow_runner
from pipeline.kubeflow.resources import DEFAULT_RESOURCES

README = (Path(__file__).parents[3] / "pipeline" / "kubeflow" / "README.md").read_text()


def shell_commands() -> list[list[str]]:
    blocks = re.findall(r"```shell\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.strip()]


def test_the_compile_command_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}
    monkeypatch.setattr(
        kubeflow_runner, "compile_pipeline", lambda *args, **options: received.update(options)
    )
    monkeypatch.chdir(tmp_path)
    [resources] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    Path("resources.yaml").write_text(resources)
    [command] = [line for line in shell_commands() if "compile" in line]
    assert command[0] == ".venv/bin/adarec"
    result = CliRunner().invoke(main, command[1:])
    assert result.exit_code == 0, result.output
    assert received["pipeline_root"] == "s3://bucket/adarec"
    teacher = received["resources"].TeacherTrainer
    assert set(teacher.to_dict()) == set(yaml.safe_load(resources)["TeacherTrainer"])
    assert (teacher.gpus, teacher.memory_gb) == (1, 32)
    assert received["resources"].StudentSearcher.memory_gb == 16


def test_the_default_resources_of_every_step_are_named() -> None:
    # Steps that share their resources stand in parentheses behind them.
    kinds = re.findall(r"(\d) cores? and (\d) GB for[^(]*\(([^)]*)\)", README)
    told = {
        step: (float(cpu), float(memory))
        for cpu, memory, steps in kinds
        for step in re.findall(r"`(\w+)`", steps)
    }
    assert told == {step: (has.cpu, has.memory_gb) for step, has in DEFAULT_RESOURCES}


class _OfflineClient(kfp.Client):
    """The real client, with the server's side of its API mocked."""

    def __init__(self, host: str) -> None:
        assert host.startswith("http")
        self._uihost = host
        self._context_setting = {"namespace": ""}
        self._run_api = mock.create_autospec(kfp_server_api.RunServiceApi)
        self._recurring_run_api = mock.create_autospec(kfp_server_api.RecurringRunServiceApi)
        self._experiment_api = mock.create_autospec(kfp_server_api.ExperimentServiceApi)
        experiment = kfp_server_api.V2beta1Experiment(experiment_id="7", display_name="adarec")
        listed = kfp_server_api.V2beta1ListExperimentsResponse(experiments=[experiment])
        self._experiment_api.experiment_service_list_experiments.return_value = listed
        self._experiment_api.experiment_service_get_experiment.return_value = experiment
        run = kfp_server_api.V2beta1Run(run_id="1", state="SUCCEEDED")
        self._run_api.run_service_create_run.return_value = run
        self._run_api.run_service_get_run.return_value = run


def test_the_recurring_run_is_what_the_server_expects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeflow_runner.compile_pipeline(SCENES["smoke"], tmp_path / "pipeline.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kfp, "Client", _OfflineClient)
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert capsys.readouterr().out.splitlines()[-1] == "SUCCEEDED"
    create = names["client"]._recurring_run_api.recurring_run_service_create_recurring_run
    [call] = create.call_args_list
    body = call.kwargs["body"]
    assert body.experiment_id == "7"
    assert body.mode == "ENABLE"
    assert body.no_catchup is True
    assert re.fullmatch(r"(\S+ ){5}\S+", body.trigger.cron_schedule.cron)
    # Both documents: what only Kubernetes has comes along.
    assert body.pipeline_spec["pipeline_spec"]["pipelineInfo"]["name"] == "adarec-smoke"
    executors = body.pipeline_spec["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]
    assert (
        executors["executors"]["VersionPusher_executor"]["pvcMount"][0]["mountPath"]
        == "/mnt/adarec"
    )
