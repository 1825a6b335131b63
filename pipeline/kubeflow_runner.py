"""Compiles the same pipeline for Kubeflow Pipelines 2: a PipelineSpec 2.1 in YAML.

Nothing is run or uploaded here. Where artifacts go is not in the file: it is the pipeline root that
a run is submitted with. Four paths are: those of the raw log, of checkpoints, of TensorBoard's logs
and of pushed versions, as the containers see them; by default on a volume mounted at `/mnt/adarec`
in every step.
"""

from pathlib import Path

from adarec_tf.config import PipelineConfig

DEFAULT_IMAGE = "adarec-tf:latest"
DEFAULT_ROOT = "/mnt/adarec"


def compile_pipeline(
    config: PipelineConfig,
    output_path: Path,
    *,
    image: str = DEFAULT_IMAGE,
    root: str = DEFAULT_ROOT,
    data_path: str | None = None,
) -> None:
    """Writes the pipeline as a file that Kubeflow accepts.

    Args:
      config: the run's settings.
      output_path: the file, ending in `.yaml` or `.yml`.
      image: container image of every step, with this project installed.
      root: folder of checkpoints, logs and pushed versions inside the containers.
      data_path: the raw log inside the containers; `<root>/data/interactions.csv` if None.

    Raises:
      ValueError: the file does not end in `.yaml` or `.yml`, or its folder does not exist.
    """
    if output_path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"The output file should end in .yaml or .yml. Received: {output_path}.")
    if not output_path.absolute().parent.is_dir():
        raise ValueError(
            f"The output file should be in an existing folder. Received: {output_path}."
        )
    # Imported here: it takes many seconds, which a wrong path should not have to wait for.
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    from pipeline.pipeline import create_pipeline

    pipeline = create_pipeline(
        config,
        data_path=data_path or f"{root}/data/interactions.csv",
        pipeline_root=f"{root}/pipeline",
        serving_dir=f"{root}/serving/{config.serving.model_name}",
        checkpoint_dir=f"{root}/checkpoints",
        log_dir=f"{root}/tensorboard",
    )
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        config=kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
            default_image=image, use_pipeline_spec_2_1=True
        ),
        output_dir=str(output_path.absolute().parent),
        output_filename=output_path.name,
    )
    runner.run(pipeline)
