"""The pipeline: raw interactions → sequences → teacher → genotype → student → served version."""

import os
from typing import Any, NamedTuple

from tfx.components import SchemaGen, StatisticsGen
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.log.interactions import InteractionColumns
from adarec_tf.search.selection.genotype_io import split_number
from components.beam_arguments import DEFAULT_ARGUMENTS
from components.checkpoints import file_fingerprint
from components.interactions_gen import SPLIT, InteractionsGen, interactions_gen
from components.interactions_validator import InteractionsValidator
from components.ranking_evaluator import RankingEvaluator
from components.sequence_preprocessor import SequencePreprocessor
from components.server_validator import ServerValidator
from components.student_distiller import StudentDistiller
from components.student_searcher import StudentSearcher
from components.teacher_trainer import TeacherTrainer
from components.version_pusher import VersionPusher
from pipeline.fingerprint import source_fingerprint
from pipeline.warm_start import WarmStart


class _DataStages(NamedTuple):
    """From a raw log to sequences; the last of them gives `sequences` and `vocabulary`."""

    interactions: Any
    statistics: Any
    schema: Any
    validator: Any
    preprocessor: Any


class _ModelStages(NamedTuple):
    """From sequences to a teacher, an architecture and a student."""

    teacher: Any
    searcher: Any
    student: Any


class _ReleaseStages(NamedTuple):
    """From a student to a version that a server picks up."""

    evaluator: Any
    infra_validator: Any
    pusher: Any


def create_pipeline(
    config: PipelineConfig,
    *,
    data_path: str,
    pipeline_root: str,
    serving_dir: str,
    checkpoint_dir: str,
    log_dir: str,
    metadata_path: str | None = None,
    start: WarmStart | None = None,
) -> Pipeline:
    """Wires the components.

    Args:
      config: the run's settings.
      data_path: a file or folder of raw interactions, or a pattern of daily folders.
      pipeline_root: where artifacts are written.
      serving_dir: where blessed students are pushed; a server watches it.
      checkpoint_dir: where an interrupted stage continues from.
      log_dir: where the stages that train write for TensorBoard.
      metadata_path: SQLite file of ML Metadata; None where the orchestrator brings its own.
      start: the earlier run whose vocabulary is extended and whose models are trained on; None
        begins anew.

    Returns:
      The pipeline, for a runner.
    """
    data = _data_stages(config, data_path, start)
    models = _model_stages(config, data.preprocessor, checkpoint_dir, log_dir, start)
    release = _release_stages(config, data.preprocessor, models, serving_dir)
    connection = None
    if metadata_path is not None:
        connection = metadata.sqlite_metadata_connection_config(metadata_path)
    return Pipeline(
        pipeline_name=pipeline_name(config.scene),
        pipeline_root=pipeline_root,
        components=[*data, *models, *release],
        enable_cache=True,
        metadata_connection_config=connection,
        beam_pipeline_args=list(DEFAULT_ARGUMENTS),
    )


def pipeline_name(scene: str) -> str:
    """The pipeline's name: Kubeflow allows lower-case letters, digits and hyphens."""
    return f"adarec-{scene}".lower().replace("_", "-")


def read_log(config: PipelineConfig, data_path: str) -> InteractionsGen:
    """The component that reads the log of a run."""
    return interactions_gen(
        data_path,
        InteractionColumns.of_config(config.data),
        code_fingerprint=source_fingerprint("components.interactions_gen"),
        spans=config.spans,
    )


def _data_stages(config: PipelineConfig, data_path: str, start: WarmStart | None) -> _DataStages:
    interactions = read_log(config, data_path)
    examples = interactions.outputs["examples"]

    # The split `sample` is left: statistics of every row would take longer than all else.
    statistics = StatisticsGen(examples=examples, exclude_splits=[SPLIT])

    schema = SchemaGen(statistics=statistics.outputs["statistics"])

    validator = InteractionsValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )

    preprocessor = SequencePreprocessor(
        examples=examples,
        data_config=config.data.to_json(),
        code_fingerprint=source_fingerprint("components.sequence_preprocessor"),
        previous_vocabulary=start.vocabulary if start else "",
        previous_fingerprint=_fingerprint_if_here(start.vocabulary) if start else "",
    )
    # Whatever follows needs sequences: anomalies stop the run before anything is trained.
    preprocessor.add_upstream_node(validator)
    return _DataStages(interactions, statistics, schema, validator, preprocessor)


def _model_stages(
    config: PipelineConfig,
    preprocessor: Any,
    checkpoint_dir: str,
    log_dir: str,
    start: WarmStart | None,
) -> _ModelStages:
    teacher = TeacherTrainer(
        sequences=preprocessor.outputs["sequences"],
        vocabulary=preprocessor.outputs["vocabulary"],
        teacher_config=config.teacher.to_json(),
        training_config=config.training.to_json(),
        seed=config.seed,
        code_fingerprint=source_fingerprint("components.teacher_trainer"),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        initial_model=start.teacher if start else "",
    )

    searcher = StudentSearcher(
        sequences=preprocessor.outputs["sequences"],
        teacher=teacher.outputs["model"],
        student_config=config.student.to_json(),
        search_config=config.search.to_json(),
        distillation_config=config.distillation.to_json(),
        seed=config.seed,
        code_fingerprint=source_fingerprint("components.student_searcher"),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        cost_table_fingerprint=_fingerprint_if_here(config.search.cost_table),
        genotype_fingerprint=_fingerprint_if_here(split_number(config.search.genotype)[0]),
    )

    student = StudentDistiller(
        sequences=preprocessor.outputs["sequences"],
        vocabulary=preprocessor.outputs["vocabulary"],
        teacher=teacher.outputs["model"],
        genotype=searcher.outputs["genotype"],
        student_config=config.student.to_json(),
        distillation_config=config.distillation.to_json(),
        seed=config.seed,
        code_fingerprint=source_fingerprint("components.student_distiller"),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        initial_model=start.student if start else "",
    )
    return _ModelStages(teacher, searcher, student)


def _fingerprint_if_here(path: str) -> str:
    """Of the file's bytes; empty without a file here (a container may have one)."""
    return file_fingerprint(path) if os.path.isfile(path) else ""


def _release_stages(
    config: PipelineConfig, preprocessor: Any, models: _ModelStages, serving_dir: str
) -> _ReleaseStages:
    evaluator = RankingEvaluator(
        sequences=preprocessor.outputs["sequences"],
        vocabulary=preprocessor.outputs["vocabulary"],
        teacher=models.teacher.outputs["model"],
        student=models.student.outputs["model"],
        evaluation_config=config.evaluation.to_json(),
        code_fingerprint=source_fingerprint("components.ranking_evaluator"),
    )

    infra_validator = ServerValidator(
        model=models.student.outputs["model"],
        sequences=preprocessor.outputs["sequences"],
        vocabulary=preprocessor.outputs["vocabulary"],
        num_requests=config.serving.num_validation_requests,
        code_fingerprint=source_fingerprint("components.server_validator", "serving.validation"),
    )

    pusher = VersionPusher(
        model=models.student.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        serving_dir=serving_dir,
        keep_versions=config.serving.keep_versions,
        server_address=config.serving.server_address,
        server_tls_ca=config.serving.server_tls_ca,
        server_tls_cert=config.serving.server_tls_cert,
        server_tls_key=config.serving.server_tls_key,
        model_name=config.serving.model_name,
        code_fingerprint=source_fingerprint("components.version_pusher", "serving.push_check"),
    )
    return _ReleaseStages(evaluator, infra_validator, pusher)
