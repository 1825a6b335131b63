"""The pipeline: interactions → histories → teacher → genotype → student → evaluated → pushed."""

import os

from tfx.components import SchemaGen, StatisticsGen
from tfx.dsl.experimental.conditionals.conditional import Cond
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import split_number
from adarec_tf.config.watch import WatchConfig
from adarec_tf.data.log.readers import InteractionColumns
from components.beam_arguments import DEFAULT_ARGUMENTS
from components.checkpoints import file_fingerprint
from components.interactions_gen import SPLIT, InteractionsGen, interactions_gen
from components.interactions_validator import InteractionsValidator
from components.ranking_evaluator import RankingEvaluator
from components.report_writer import ReportWriter
from components.scene_watch import SceneWatch
from components.sequence_preprocessor import SequencePreprocessor
from components.server_validator import ServerValidator
from components.student_distiller import StudentDistiller
from components.student_searcher import StudentSearcher
from components.teacher_trainer import TeacherTrainer
from components.teacher_tuner import TeacherTuner
from components.version_pusher import VersionPusher
from pipeline.fingerprint import source_fingerprint
from pipeline.warm_start import WarmStart


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
    item_titles: str = "",
    watch: WatchConfig | None = None,
) -> Pipeline:
    """Wires the components: a flat list, long and without branches, to be read from top to bottom.

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
      item_titles: for the report, a CSV or TSV file with a row an item, its id and its title; ""
        is none.
      watch: the limits within which the scene may change without a run; None runs always.

    Returns:
      The pipeline, for a runner.
    """
    # Reads the log, checks every row and writes it in blocks of columns; behind a gate only where
    # the scene has changed. All steps come after this one: none is run where it is skipped.
    gate = []
    if watch is None:
        interactions = read_log(config, data_path)
    else:
        gate = [
            SceneWatch(
                data_path=data_path,
                serving_dir=serving_dir,
                watch_config=watch.to_json(),
                code_fingerprint=source_fingerprint("components.scene_watch"),
            )
        ]
        with Cond(gate[0].outputs["check"].future()[0].custom_property("retrain") == 1):
            interactions = read_log(config, data_path)

    # Sums up a sample of the rows; of all rows that would take longer than everything else.
    statistics = StatisticsGen(examples=interactions.outputs["examples"], exclude_splits=[SPLIT])

    # Infers from these statistics what a row looks like.
    schema = SchemaGen(statistics=statistics.outputs["statistics"])

    # Fails the run on any anomaly.
    validator = InteractionsValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )

    # Filters users and items, numbers the items and splits every user's history.
    preprocessor = SequencePreprocessor(
        examples=interactions.outputs["examples"],
        data_config=config.data.to_json(),
        code_fingerprint=source_fingerprint("components.sequence_preprocessor"),
        previous_vocabulary=start.vocabulary if start else "",
        previous_fingerprint=_fingerprint_if_here(start.vocabulary) if start else "",
    )
    # Everything below needs histories: anomalies stop the run before anything is trained.
    preprocessor.add_upstream_node(validator)
    sequences = preprocessor.outputs["sequences"]
    vocabulary = preprocessor.outputs["vocabulary"]

    # Decides what the teacher is and how it is trained, from the scene and by trials.
    tuner = TeacherTuner(
        sequences=sequences,
        teacher_config=config.teacher.to_json(),
        training_config=config.training.to_json(),
        fixed=_fixed(config, "teacher", "training"),
        effort=config.effort,
        compute_dtype=config.compute_dtype,
        seed=config.seed,
        code_fingerprint=source_fingerprint("components.teacher_tuner"),
        checkpoint_dir=checkpoint_dir,
        initial_recipe=start.recipe if start else "",
    )

    # Trains the heavy model that the student will learn from.
    teacher = TeacherTrainer(
        sequences=sequences,
        vocabulary=vocabulary,
        recipe=tuner.outputs["recipe"],
        teacher_config=config.teacher.to_json(),
        training_config=config.training.to_json(),
        fixed=_fixed(config, "teacher", "training"),
        compute_dtype=config.compute_dtype,
        seed=config.seed,
        code_fingerprint=source_fingerprint("components.teacher_trainer"),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        initial_model=start.teacher if start else "",
    )

    # Decides what the student is and finds its architecture: accurate like the teacher, and cheap.
    searcher = StudentSearcher(
        sequences=sequences,
        teacher=teacher.outputs["model"],
        recipe=tuner.outputs["recipe"],
        student_config=config.student.to_json(),
        search_config=config.search.to_json(),
        distillation_config=config.distillation.to_json(),
        max_bundle_bytes=config.evaluation.max_bundle_bytes,
        max_teacher_share=config.evaluation.max_teacher_share,
        fixed=_fixed(config, "student", "search", "distillation"),
        compute_dtype=config.compute_dtype,
        seed=config.seed,
        code_fingerprint=source_fingerprint("components.student_searcher"),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        cost_table_fingerprint=_fingerprint_if_here(config.search.cost_table),
        genotype_fingerprint=_fingerprint_if_here(split_number(config.search.genotype)[0]),
    )

    # Trains a student of that architecture on the log and on the teacher's layers.
    distiller = StudentDistiller(
        sequences=sequences,
        vocabulary=vocabulary,
        teacher=teacher.outputs["model"],
        genotype=searcher.outputs["genotype"],
        recipe=searcher.outputs["student_recipe"],
        student_config=config.student.to_json(),
        distillation_config=config.distillation.to_json(),
        fixed=_fixed(config, "student", "distillation"),
        compute_dtype=config.compute_dtype,
        seed=config.seed,
        code_fingerprint=source_fingerprint("components.student_distiller"),
        checkpoint_dir=checkpoint_dir,
        log_dir=log_dir,
        initial_model=start.student if start else "",
    )

    # Compares teacher, student and baselines on the test targets, and blesses the student or not.
    evaluator = RankingEvaluator(
        sequences=sequences,
        vocabulary=vocabulary,
        teacher=teacher.outputs["model"],
        student=distiller.outputs["model"],
        evaluation_config=config.evaluation.to_json(),
        code_fingerprint=source_fingerprint("components.ranking_evaluator"),
    )

    # Serves the student, and blesses it if the server answers as the student does in process.
    server_validator = ServerValidator(
        model=distiller.outputs["model"],
        sequences=sequences,
        vocabulary=vocabulary,
        code_fingerprint=source_fingerprint("components.server_validator", "serving.validation"),
    )

    # Publishes a student with both blessings as the next version, which servers pick up.
    pusher = VersionPusher(
        model=distiller.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=server_validator.outputs["blessing"],
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        vocabulary=vocabulary,
        recipe=searcher.outputs["student_recipe"],
        genotype=searcher.outputs["genotype"],
        evaluation=evaluator.outputs["evaluation"],
        serving_dir=serving_dir,
        keep_versions=config.serving.keep_versions,
        server_address=config.serving.server_address,
        server_tls_ca=config.serving.server_tls_ca,
        server_tls_cert=config.serving.server_tls_cert,
        model_name=config.serving.model_name,
        run_config=config.to_json(),
        code_fingerprint=source_fingerprint("components.version_pusher", "serving.push_check"),
    )

    # Writes a page of all that. Where it cannot, the run has succeeded all the same.
    reporter = ReportWriter(
        statistics=statistics.outputs["statistics"],
        sequences=sequences,
        vocabulary=vocabulary,
        recipe=searcher.outputs["student_recipe"],
        teacher=teacher.outputs["model"],
        genotype=searcher.outputs["genotype"],
        student=distiller.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=server_validator.outputs["blessing"],
        pushed_model=pusher.outputs["pushed_model"],
        run_config=config.to_json(),
        data_path=data_path,
        item_titles=item_titles,
        continued_from=start.run if start else "",
        code_fingerprint=source_fingerprint("components.report_writer"),
    )

    connection = None
    if metadata_path is not None:
        connection = metadata.sqlite_metadata_connection_config(metadata_path)
    return Pipeline(
        pipeline_name=pipeline_name(config.scene),
        pipeline_root=pipeline_root,
        components=[
            *gate,
            interactions,
            statistics,
            schema,
            validator,
            preprocessor,
            tuner,
            teacher,
            searcher,
            distiller,
            evaluator,
            server_validator,
            pusher,
            reporter,
        ],
        enable_cache=True,
        metadata_connection_config=connection,
        beam_pipeline_args=list(DEFAULT_ARGUMENTS),
    )


def pipeline_name(scene: str) -> str:
    """The pipeline's name: Kubeflow allows lower-case letters, digits and hyphens."""
    return f"adarec-{scene}".lower().replace("_", "-")


def read_log(config: PipelineConfig, data_path: str) -> InteractionsGen:
    """The component that reads the log of a run.

    Args:
      config: the run's settings.
      data_path: a file or folder of raw interactions, or a pattern of daily folders.
    """
    return interactions_gen(
        data_path,
        InteractionColumns.of_config(config.data),
        code_fingerprint=source_fingerprint("components.interactions_gen"),
        spans=config.spans,
    )


def _fixed(config: PipelineConfig, *stages: str) -> str:
    """The names of the settings of these stages that were given by hand."""
    return " ".join(name for name in config.fixed if name.partition(".")[0] in stages)


def _fingerprint_if_here(path: str) -> str:
    """The digest of the file's bytes; empty without a file here (a container may have one)."""
    return file_fingerprint(path) if os.path.isfile(path) else ""
