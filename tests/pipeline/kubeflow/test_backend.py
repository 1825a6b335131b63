"""Kubeflow's own backend compiles what we compile: to the Argo workflow that a cluster would run.

The backend's compiler is Go. Its modules are not downloaded for this test unless the environment
variable `KUBEFLOW_BACKEND=1` asks for it; where they are in Go's module cache, it runs.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from adarec_tf.config.watch import WatchConfig
from pipeline.configs import SCENES
from pipeline.kubeflow.runner import compile_pipeline
from pipeline.screen import STAGES
from tests.pipeline.kubeflow.emulator import read_spec

PROGRAM = Path(__file__).parent / "backend"
MODULE = "github.com/kubeflow/pipelines"
GO = shutil.which("go", path=os.pathsep.join([os.environ["PATH"], "/usr/local/go/bin"]))
MAY_DOWNLOAD = os.environ.get("KUBEFLOW_BACKEND") == "1"

pytestmark = pytest.mark.slow


def go(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Checksums come with the cache; without them in a file of ours, Go works them out.
    offline = {} if MAY_DOWNLOAD else {"GOPROXY": "off", "GONOSUMDB": "*"}
    return subprocess.run(
        [str(GO), *arguments],
        cwd=cwd,
        env={**os.environ, "GOFLAGS": "-mod=mod", **offline},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiler, built."""
    if GO is None:
        pytest.skip("Go is not installed")
    folder = tmp_path_factory.mktemp("backend") / "source"
    shutil.copytree(PROGRAM, folder)
    if MAY_DOWNLOAD:
        go("mod", "download", MODULE, cwd=folder)
    found = go("list", "-m", "-f", "{{.Dir}}", MODULE, cwd=folder)
    if not found.stdout.strip():
        pytest.skip(
            f"{MODULE} is not in Go's module cache; KUBEFLOW_BACKEND=1 downloads it "
            f"({found.stderr.strip()[-200:]})"
        )
    built = go("build", "-o", "compiler", ".", cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder / "compiler"


def argo_workflow(backend: Path, *given: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([backend, *given], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(SCENES["sample"], path, pipeline_root="minio://mlpipeline/adarec")
    return path


def test_the_backend_makes_a_workflow_of_every_step(backend: Path, compiled: Path) -> None:
    done = argo_workflow(backend, compiled)
    assert done.returncode == 0, done.stderr
    workflow = yaml.safe_load(done.stdout)
    assert workflow["kind"] == "Workflow"
    assert workflow["metadata"]["generateName"] == "adarec-sample-"
    [root] = [t for t in workflow["spec"]["templates"] if t["name"] == "root"]
    tasks = {task["name"]: task for task in root["dag"]["tasks"]}
    assert set(tasks) == {*STAGES, *(f"{stage}-driver" for stage in STAGES)}
    dependencies = read_spec(compiled)[0].root.dag.tasks
    for stage in STAGES:
        waits_for = tasks[f"{stage}-driver"].get("depends", "")
        for dependency in dependencies[stage].dependent_tasks:
            assert f"{dependency}.Succeeded" in waits_for
    annotations = workflow["metadata"]["annotations"]
    for stage in STAGES:
        pod = json.loads(annotations[f"pipelines.kubeflow.org/kubernetes-{stage}"])
        assert pod["pvcMount"] == [{"constant": "adarec", "mountPath": "/mnt/adarec"}]
        container = json.loads(annotations[f"pipelines.kubeflow.org/implementations-{stage}"])
        assert container["command"] == ["python", "-m", "pipeline.kubeflow.step"]


@pytest.mark.parametrize(("retrain", "holds"), [(0.0, "false"), (1.0, "true")])
def test_a_step_behind_a_gate_is_skipped_where_the_gate_is_shut(
    backend: Path, tmp_path: Path, retrain: float, holds: str
) -> None:
    path = tmp_path / "pipeline.yaml"
    compile_pipeline(SCENES["sample"], path, watch=WatchConfig())
    task = read_spec(path)[0].root.dag.tasks["InteractionsGen"]
    [name] = task.inputs.artifacts
    check = {"uri": "minio://check", "metadata": {"retrain": retrain}}
    given = {"inputs": {"artifacts": {name: {"artifacts": [check]}}}}
    done = argo_workflow(backend, task.trigger_policy.condition, json.dumps(given))
    assert (done.stdout.strip(), done.stderr) == (holds, "")
    workflow = yaml.safe_load(argo_workflow(backend, path).stdout)
    [root] = [one for one in workflow["spec"]["templates"] if one["name"] == "root"]
    tasks = {one["name"]: one for one in root["dag"]["tasks"]}
    asked = "{{tasks.InteractionsGen-driver.outputs.parameters.condition}} != false"
    assert [name for name, one in tasks.items() if "when" in one] == ["InteractionsGen"]
    assert tasks["InteractionsGen"]["when"] == asked
    # Argo omits what waits for the success of a task that was skipped.
    assert "InteractionsGen.Succeeded" in tasks["StatisticsGen-driver"]["depends"]


def test_the_backend_refuses_what_is_wrong(backend: Path, compiled: Path, tmp_path: Path) -> None:
    spec, platform = yaml.safe_load_all(compiled.read_text())
    spec["root"]["dag"]["tasks"]["VersionPusher"]["componentRef"]["name"] = "Gone"
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump_all([spec, platform]))
    done = argo_workflow(backend, broken)
    assert done.returncode == 1
    assert "Gone" in done.stderr
