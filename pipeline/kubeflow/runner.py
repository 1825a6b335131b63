"""Compiles the same pipeline for Kubeflow Pipelines 2: PipelineSpec 2.1 and platform spec in YAML.

Nothing is run or uploaded here. Artifacts go to an object store, below the pipeline root: steps
never see it, Kubeflow's launcher copies for them (see `step.py`). The raw log,
checkpoints, TensorBoard's logs and pushed versions are on a volume that is mounted in every step: a
version has to appear by a rename, which object stores do not have.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.watch import WatchConfig
from pipeline.kubeflow.resources import DEFAULT_RESOURCES, PipelineResources, StepResources
from pipeline.kubeflow.step import INPUT_PATH_OPTION, OUTPUT_PATH_OPTION

DEFAULT_IMAGE = "adarec-tf:latest"
DEFAULT_ROOT = "/mnt/adarec"
DEFAULT_VOLUME_CLAIM = "adarec"
# What Kubeflow's launcher copies from and to.
_OBJECT_STORES = ("gs", "minio", "s3")
_STEP_COMMAND = ["python", "-m", "pipeline.kubeflow.step"]


def compile_pipeline(
    config: PipelineConfig,
    output_path: Path,
    *,
    resources: PipelineResources = DEFAULT_RESOURCES,
    cache_log: bool = False,
    watch: WatchConfig | None = None,
    image: str = DEFAULT_IMAGE,
    root: str = DEFAULT_ROOT,
    volume_claim: str = DEFAULT_VOLUME_CLAIM,
    pipeline_root: str = "",
    data_path: str | None = None,
    item_titles: str = "",
) -> None:
    """Writes the pipeline as a file that Kubeflow accepts.

    Args:
      config: the run's settings.
      output_path: the file, ending in `.yaml` or `.yml`.
      resources: what each step asks of the cluster.
      cache_log: whether the step that reads the log is reused. Kubeflow does not look into the log
        first: a log that grows under the same path would never be read again.
      watch: the limits within which the scene may change without a run: all other steps wait for
        `SceneWatch`, and are skipped while all is fine; None runs them always.
      image: container image of every step, with this project installed.
      root: where the volume is mounted: log, checkpoints, TensorBoard's logs, pushed versions.
      volume_claim: the PersistentVolumeClaim of that volume.
      pipeline_root: where artifacts go if a run names no place: `gs://`, `s3://` or `minio://`
        and a bucket; "" leaves it to the cluster.
      data_path: the raw log inside the containers; `<root>/data/interactions.csv` if None.
      item_titles: for the report, a CSV or TSV file there with a row an item, its id and its title;
        "" is none.

    Raises:
      ValueError: the file does not end in `.yaml` or `.yml`, its folder does not exist, or a place
        is not one that steps can work with.
    """
    _check_output_path(output_path)
    root = _check_places(root, pipeline_root, data_path)
    data_path = data_path or f"{root}/data/interactions.csv"
    spec = _compile_with_tfx(config, watch, image, root, data_path, item_titles)
    if pipeline_root:
        spec["defaultPipelineRoot"] = pipeline_root
    # These look at the serving folder in every run, as they do locally.
    never_cached = ["VersionPusher", "SceneWatch", *([] if cache_log else ["InteractionsGen"])]
    pods = {}
    for name, component in spec["components"].items():
        label, wanted = component["executorLabel"], getattr(resources, name)
        container = spec["deploymentSpec"]["executors"][label]["container"]
        container["args"] += _artifact_paths(component)
        container["resources"] = _requests(wanted)
        pods[label] = _pod(wanted, root, volume_claim)
        caching = {} if name in never_cached else {"enableCache": True}
        spec["root"]["dag"]["tasks"][name]["cachingOptions"] = caching
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": pods}}}}
    text = f"# PIPELINE DEFINITION\n# Name: {spec['pipelineInfo']['name']}\n"
    text += yaml.safe_dump_all([spec, platform], sort_keys=True, width=100)
    temporary = output_path.with_name(f".{output_path.name}.tmp")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, output_path)


def _check_output_path(output_path: Path) -> None:
    if output_path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"The output file should end in .yaml or .yml. Received: {output_path}.")
    if not output_path.absolute().parent.is_dir():
        raise ValueError(
            f"The output file should be in an existing folder. Received: {output_path}."
        )


def _check_places(root: str, pipeline_root: str, data_path: str | None) -> str:
    """Checks where things are in a cluster; returns the root without a slash at its end."""
    if not root.startswith("/") or not root.rstrip("/"):
        raise ValueError(
            "--root should be the absolute path where the volume is mounted in every step: "
            "checkpoints and pushed versions are renamed there, which an object store cannot do "
            f"(artifacts can be in one: --pipeline-root). Received: {root}."
        )
    if data_path is not None and not data_path.startswith("/"):
        raise ValueError(
            "--data should be the log's absolute path inside the containers, such as "
            f"{root.rstrip('/')}/data/interactions.csv. Received: {data_path}."
        )
    stores = "|".join(_OBJECT_STORES)
    if pipeline_root and not re.fullmatch(rf"({stores})://[^/]+(/.*)?", pipeline_root):
        raise ValueError(
            "--pipeline-root should be a bucket that Kubeflow's launcher can copy to: "
            f"{', '.join(f'{store}://BUCKET/PATH' for store in _OBJECT_STORES)}. "
            f"Received: {pipeline_root}."
        )
    return root.rstrip("/")


def _compile_with_tfx(
    config: PipelineConfig,
    watch: WatchConfig | None,
    image: str,
    root: str,
    data_path: str,
    item_titles: str,
) -> dict[str, Any]:
    # Imported here: it takes many seconds, which a wrong path should not have to wait for.
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    from pipeline.pipeline import create_pipeline

    pipeline = create_pipeline(
        config,
        data_path=data_path,
        pipeline_root=f"{root}/pipeline",
        serving_dir=f"{root}/serving/{config.serving.model_name}",
        checkpoint_dir=f"{root}/checkpoints",
        log_dir=f"{root}/tensorboard",
        item_titles=item_titles,
        watch=watch,
    )
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
            default_image=image, default_commands=_STEP_COMMAND, use_pipeline_spec_2_1=True
        )
    )
    return runner.run(pipeline, write_out=False)["pipelineSpec"]


def _artifact_paths(component: dict[str, Any]) -> list[str]:
    """The arguments by which Kubeflow tells `step.py` where the launcher keeps each artifact."""
    arguments = []
    for side, option in (("input", INPUT_PATH_OPTION), ("output", OUTPUT_PATH_OPTION)):
        for artifact in component.get(f"{side}Definitions", {}).get("artifacts", {}):
            path = f"{{{{$.{side}s.artifacts['{artifact}'].path}}}}"
            arguments += [option, f"{artifact}={path}"]
    return arguments


def _requests(wanted: StepResources) -> dict[str, Any]:
    # The older of two spellings in the schema: every backend of Kubeflow 2 reads it.
    requests: dict[str, Any] = {
        "cpuRequest": wanted.cpu,
        "memoryRequest": wanted.memory_gb,
        "memoryLimit": wanted.memory_gb,
    }
    if wanted.gpus:
        requests["accelerator"] = {"type": wanted.gpu_resource, "count": str(wanted.gpus)}
    return requests


def _pod(wanted: StepResources, root: str, volume_claim: str) -> dict[str, Any]:
    """What only Kubernetes has: volumes and node selectors."""
    # `constant`: of two spellings in the schema the one that every backend of Kubeflow 2 reads.
    pod: dict[str, Any] = {"pvcMount": [{"constant": volume_claim, "mountPath": root}]}
    if wanted.node_selector:
        pod["nodeSelector"] = {"labels": wanted.node_selector}
    return pod
