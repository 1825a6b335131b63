"""Runs a compiled pipeline without a cluster, step by step as Kubeflow would.

Follows the driver and the launcher of Kubeflow Pipelines 2 (backend/src/v2/driver,
backend/src/v2/component/launcher_v2.go): parameters are checked by type; input artifacts come
without their type, with numbers as floats and with lists and structs wrapped as ML Metadata keeps
them; hooks before the cache are not run; artifacts are copied from the object store to a folder of
the step's own and back; placeholders in the command are replaced. The command then really runs, in
a process of its own, with this environment's Python. The object store is a folder; a step's own
folder is gone after it. Volumes are not mounted: a pipeline is compiled with a root that exists.

    adarec run --scene sample
    python -m tests.pipeline.kubeflow.emulator --scene sample --folder /tmp/emulated \\
        --reference runs/sample/result.json
"""

import argparse
import json
import multiprocessing
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format, struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.artifacts import METRICS_FILE
from pipeline.kubeflow.step import TFX_ENTRY_POINT

sys.path.append(str(Path(__file__).parent))  # which other processes have as well
from one_step import run_module

ROOT = Path(__file__).parents[3]
BUCKET = "minio://mlpipeline/v2/artifacts"
_SCHEME = "minio://"
# Of the Common Expression Language, what TFX writes of one property of an artifact.
_CONDITION = r"\(inputs\.artifacts\['(.+)'\]\.artifacts\[0\]\.metadata\['(.+)'\] == (\S+)\)"
_JSON_TYPES = {
    "STRING": "string_value",
    "NUMBER_INTEGER": "number_value",
    "NUMBER_DOUBLE": "number_value",
    "BOOLEAN": "bool_value",
    "LIST": "list_value",
    "STRUCT": "struct_value",
}

# Forks of a process that has imported what every step imports, which takes longer than most steps.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["pipeline.pipeline", TFX_ENTRY_POINT])

Artifacts = dict[tuple[str, str], pipeline_spec_pb2.RuntimeArtifact]


class StepFailedError(RuntimeError):
    """A step's command did not exit with 0."""


def read_spec(path: Path) -> tuple[pipeline_spec_pb2.PipelineSpec, pipeline_spec_pb2.PlatformSpec]:
    """Parses both documents of a compiled file, refusing what the schema does not know."""
    spec, platform = yaml.safe_load_all(path.read_text("utf-8"))
    return (
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec()),
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec()),
    )


def task_order(spec: pipeline_spec_pb2.PipelineSpec) -> list[str]:
    """The tasks, each after those it depends on."""
    tasks = spec.root.dag.tasks
    return list(
        TopologicalSorter(
            {name: sorted(tasks[name].dependent_tasks) for name in sorted(tasks)}
        ).static_order()
    )


class Emulator:
    """One run of a compiled pipeline."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Args: a compiled file, and where the object store and the steps' folders are made."""
        self.spec, _ = read_spec(path)
        self.folder = folder
        self.artifacts: Artifacts = {}
        deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
        json_format.ParseDict(json_format.MessageToDict(self.spec.deployment_spec), deployment)
        self.executors = deployment.executors
        self.pipeline_root = self.spec.default_pipeline_root or BUCKET

    def run(self) -> Iterator[tuple[str, float]]:
        """Runs every step; yields its name and its seconds.

        A step whose condition does not hold is skipped, and what depends on it, as Argo omits a
        task that waits for the success of one that is skipped.

        Raises:
          StepFailedError: a step failed; the end of what it wrote is in the message.
        """
        skipped: set[str] = set()
        for name in task_order(self.spec):
            if skipped & {*self.spec.root.dag.tasks[name].dependent_tasks} or not self._holds(name):
                skipped.add(name)
                continue
            started = time.monotonic()
            self._run_step(name)
            yield name, time.monotonic() - started

    def stored(self, task: str, output: str) -> Path:
        """Where the object store keeps an output."""
        return self._object(self.artifacts[task, output].uri)

    def final_table(self) -> dict[str, dict[str, Any]]:
        """The rows of the evaluator's comparison, by model."""
        path = self.stored("RankingEvaluator", "evaluation") / METRICS_FILE
        return json.loads(path.read_text("utf-8"))["models"]

    def _holds(self, name: str) -> bool:
        """Whether the condition of a step holds, where it has one."""
        task = self.spec.root.dag.tasks[name]
        if not task.trigger_policy.condition:
            return True
        found = re.fullmatch(_CONDITION, task.trigger_policy.condition)
        if not found:
            raise NotImplementedError(f"Received: {task.trigger_policy.condition}.")
        source = task.inputs.artifacts[found[1]].task_output_artifact
        artifact = self.artifacts[source.producer_task, source.output_artifact_key]
        return bool(artifact.metadata[found[2]] == float(found[3]))

    def _run_step(self, name: str) -> None:
        component = self.spec.components[self.spec.root.dag.tasks[name].component_ref.name]
        executor = self.executors[component.executor_label]
        if executor.WhichOneof("spec") != "container":
            raise NotImplementedError(f"A step should be a container. Received: {executor}.")
        pod = self.folder / "pods" / name
        executor_input = self._executor_input(name, component, pod)
        for artifact in _artifacts(executor_input.inputs):
            shutil.copytree(self._object(artifact.uri), _local_path(artifact.uri, pod))
        for artifact in _artifacts(executor_input.outputs):
            _local_path(artifact.uri, pod).parent.mkdir(parents=True, exist_ok=True)
        _run_container(name, executor.container, executor_input, pod)
        self._publish(name, executor_input, pod)
        shutil.rmtree(pod)

    def _executor_input(
        self, name: str, component: pipeline_spec_pb2.ComponentSpec, pod: Path
    ) -> pipeline_spec_pb2.ExecutorInput:
        task = self.spec.root.dag.tasks[name]
        executor_input = pipeline_spec_pb2.ExecutorInput()
        for key, parameter in task.inputs.parameters.items():
            if parameter.WhichOneof("kind") != "runtime_value":
                raise NotImplementedError(f"A parameter should be a constant. Received: {key}.")
            value = _checked(component.input_definitions.parameters[key], parameter, key)
            executor_input.inputs.parameter_values[key].CopyFrom(value)
        for key, source in task.inputs.artifacts.items():
            output = source.task_output_artifact
            artifact = self.artifacts[output.producer_task, output.output_artifact_key]
            executor_input.inputs.artifacts[key].artifacts.append(artifact)
        for key, output in component.output_definitions.artifacts.items():
            executor_input.outputs.artifacts[key].artifacts.add(
                uri=f"{self.pipeline_root}/{self.spec.pipeline_info.name}/run-1/{name}/{key}",
                type=output.artifact_type,
                metadata=output.metadata,
            )
        output_file = pod / "tmp" / "kfp_outputs" / "output_metadata.json"
        executor_input.outputs.output_file = str(output_file)
        return executor_input

    def _publish(
        self, name: str, executor_input: pipeline_spec_pb2.ExecutorInput, pod: Path
    ) -> None:
        text = Path(executor_input.outputs.output_file).read_text("utf-8")
        handed_back = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
        for key, outputs in executor_input.outputs.artifacts.items():
            [artifact] = outputs.artifacts
            [update] = handed_back.artifacts[key].artifacts
            artifact.uri = update.uri or artifact.uri
            metadata = {
                **json_format.MessageToDict(artifact.metadata),
                **json_format.MessageToDict(update.metadata),
            }
            shutil.copytree(_local_path(artifact.uri, pod), self._object(artifact.uri))
            recorded = pipeline_spec_pb2.RuntimeArtifact(
                name=str(len(self.artifacts) + 1),
                uri=artifact.uri,
                # The backend does not know it: "TODO: figure out how to get schema".
                type=pipeline_spec_pb2.ArtifactTypeSchema(instance_schema=""),
            )
            recorded.metadata.update({**_as_recorded(metadata), "display_name": key})
            self.artifacts[name, key] = recorded

    def _object(self, uri: str) -> Path:
        return self.folder / "store" / uri.removeprefix(_SCHEME)


def _artifacts(side: Any) -> list[pipeline_spec_pb2.RuntimeArtifact]:
    return [artifact for listed in side.artifacts.values() for artifact in listed.artifacts]


def _local_path(uri: str, pod: Path) -> Path:
    """The launcher's folder of an artifact: `minio://bucket/key` is at `/minio/bucket/key`."""
    if not uri.startswith(_SCHEME):
        raise ValueError(f"unsupported storage scheme: {uri}")
    return pod / "minio" / uri.removeprefix(_SCHEME)


def _checked(definition: Any, parameter: Any, key: str) -> struct_pb2.Value:
    value = parameter.runtime_value.constant
    kind = pipeline_spec_pb2.ParameterType.ParameterTypeEnum.Name(definition.parameter_type)
    if value.WhichOneof("kind") != _JSON_TYPES[kind]:
        raise TypeError(f"input parameter {key!r} type mismatch: expect {kind}, got {value}")
    return value


def _as_recorded(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it comes back from ML Metadata."""

    def recorded(value: Any) -> Any:
        if isinstance(value, bool):
            return float(value)
        if isinstance(value, list):
            return {"list": value}
        return {"struct": value} if isinstance(value, dict) else value

    return {key: recorded(value) for key, value in metadata.items()}


def _run_container(
    name: str, container: Any, executor_input: pipeline_spec_pb2.ExecutorInput, pod: Path
) -> None:
    placeholders = {"{{$}}": json_format.MessageToJson(executor_input, indent=None)}
    for side_name, side in (("inputs", executor_input.inputs), ("outputs", executor_input.outputs)):
        for key, listed in side.artifacts.items():
            path = str(_local_path(listed.artifacts[0].uri, pod))
            placeholders[f"{{{{$.{side_name}.artifacts['{key}'].path}}}}"] = path
    python, option, module, *arguments = [*container.command, *container.args]
    if (python, option) != ("python", "-m"):
        raise NotImplementedError(f"A step should be a Python module. Received: {python} {option}.")
    for placeholder, text in placeholders.items():
        arguments = [argument.replace(placeholder, text) for argument in arguments]
    log = pod / "log"
    log.touch()
    added = {variable.name: variable.value for variable in container.env}
    process = _PROCESSES.Process(target=run_module, args=(module, arguments, pod, added, log))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise StepFailedError(f"{name} exited with {process.exitcode}: {log.read_text()[-4000:]}")


def ranking_figures(table: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the rows of a final table, by model: what depends on the models alone.

    Latencies depend on a clock. Bytes of a bundle vary by hundreds: names in its graph are numbered
    through what a process has made before, locally earlier stages, on Kubeflow nothing.
    """
    own = {"bundle_bytes", "latency_p50_ms", "latency_p99_ms"}
    return {
        model: {key: value for key, value in row.items() if key not in own}
        for model, row in table.items()
    }


def main() -> int:
    from adarec_tf.data.log.built_in import write_scene
    from pipeline.configs import scene_config
    from pipeline.kubeflow.runner import compile_pipeline
    from pipeline.scene_data import GENERATED_SCENES

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", default="sample", choices=sorted(GENERATED_SCENES))
    parser.add_argument("--folder", type=Path, required=True, help="should not exist yet")
    parser.add_argument("--reference", type=Path, help="result.json of a local run to compare with")
    options = parser.parse_args()
    folder = options.folder.absolute()
    volume = folder / "volume"
    (volume / "data").mkdir(parents=True)
    log = str(volume / "data" / f"{options.scene}.csv.gz")
    write_scene(log, GENERATED_SCENES[options.scene]())
    compiled = folder / "pipeline.yaml"
    compile_pipeline(scene_config(options.scene), compiled, root=str(volume), data_path=log)
    emulator = Emulator(compiled, folder)
    for name, seconds in emulator.run():
        print(f"{name}: {seconds:.1f} s", flush=True)
    emulated = ranking_figures(emulator.final_table())
    for model, row in emulated.items():
        print(model, json.dumps(row))
    if options.reference is None:
        return 0
    local = ranking_figures(json.loads(options.reference.read_text("utf-8"))["models"])
    differing = sorted(model for model in local if local[model] != emulated.get(model))
    print(f"Differing from {options.reference}: {', '.join(differing) or 'no model'}.")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
