"""ReportWriter: all that a run gave → one page for people.

The page comes last and fails no run: what keeps it from being made is in the log and in the
property `problem` of its artifact.
"""

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import (
    ExampleStatistics,
    InfraBlessing,
    Model,
    ModelBlessing,
    ModelEvaluation,
    PushedModel,
)

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.report.facts import FinishedRun, gather_facts
from adarec_tf.report.page import run_page
from adarec_tf.report.titles import read_titles
from components import artifacts
from components.blessings import read_blessing
from components.model_artifact import bundle_dir, read_vocabulary
from components.recipes import read_recipe

logger = logging.getLogger(__name__)


@component
def ReportWriter(  # noqa: N802 (a component is named as a class)
    statistics: InputArtifact[ExampleStatistics],
    sequences: InputArtifact[artifacts.Sequences],
    vocabulary: InputArtifact[artifacts.Vocabulary],
    recipe: InputArtifact[artifacts.Recipe],
    teacher: InputArtifact[Model],
    genotype: InputArtifact[artifacts.Genotype],
    student: InputArtifact[Model],
    evaluation: InputArtifact[ModelEvaluation],
    model_blessing: InputArtifact[ModelBlessing],
    infra_blessing: InputArtifact[InfraBlessing],
    pushed_model: InputArtifact[PushedModel],
    report: OutputArtifact[artifacts.Report],
    run_config: Parameter[str],
    data_path: Parameter[str],
    item_titles: Parameter[str],
    continued_from: Parameter[str],
    code_fingerprint: Parameter[str],
) -> None:
    """Writes the page of a run.

    Args:
      statistics: of a sample of the log's rows.
      sequences: split histories.
      vocabulary: their items.
      recipe: settings that were decided.
      teacher: the trained teacher.
      genotype: the student's architecture and how it was found.
      student: the trained student.
      evaluation: the figures of all models.
      model_blessing: the evaluator's verdict.
      infra_blessing: the server's.
      pushed_model: what was pushed, if anything.
      report: the page and what it says.
      run_config: JSON of `PipelineConfig`.
      data_path: of the log.
      item_titles: a CSV or TSV file; "" shows items by their ids.
      continued_from: when the run was started that this one continues from; "" if from none.
      code_fingerprint: of the code this runs, so that the cache sees changes.
    """
    del code_fingerprint  # a part of the cache key alone
    verdicts = [read_blessing(blessing) for blessing in (model_blessing, infra_blessing)]
    version = pushed_model.get_string_custom_property("pushed_version")
    try:
        run = FinishedRun(
            config=PipelineConfig.from_json(run_config),
            recipe=read_recipe(recipe.uri),
            statistics=read_statistics(sequences.uri),
            vocabulary=read_vocabulary(vocabulary.uri),
            train=read_histories(sequences.uri, "train"),
            test=read_histories(sequences.uri, "test"),
            times=_times(statistics.uri),
            metrics=_read_json(evaluation.uri, artifacts.METRICS_FILE),
            genotype=_read_json(genotype.uri, artifacts.GENOTYPE_FILE),
            trace=_read_lines(genotype.uri, artifacts.SEARCH_TRACE_FILE),
            front=_read_json(genotype.uri, artifacts.FRONT_FILE),
            teacher_bundle=bundle_dir(teacher.uri),
            student_bundle=bundle_dir(student.uri),
            student_history=_read_json(student.uri, artifacts.TRAINING_HISTORY_FILE),
            blessed=all(is_blessed for is_blessed, _ in verdicts),
            reasons=[reason for _, reasons in verdicts for reason in reasons],
            pushed_version=int(version) if version else None,
            origin={"log": data_path, "continued_from": continued_from},
        )
        _write(run, item_titles, report.uri)
    except Exception as error:  # nothing that it shows is lost: all of it is in other artifacts
        logger.exception("The report could not be made.")
        report.set_string_custom_property("problem", str(error) or type(error).__name__)


def _write(run: FinishedRun, item_titles: str, directory: str) -> None:
    """Writes the page when it is whole, and what it says beside it."""
    facts = gather_facts(run)
    titles = read_titles(item_titles) if item_titles else {}
    contents = {
        artifacts.REPORT_FACTS_FILE: json.dumps(facts),
        artifacts.REPORT_FILE: run_page(facts, titles),
    }
    fileio.makedirs(directory)
    for name, content in contents.items():
        with fileio.open(os.path.join(directory, name), "w") as file:
            file.write(content)


def _times(directory: str) -> tuple[float, float] | None:
    """The earliest and the latest time in the statistics of the log's rows."""
    [path] = fileio.glob(os.path.join(directory, "Split-*", "FeatureStats.pb"))
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    with fileio.open(path, "rb") as file:
        statistics.ParseFromString(file.read())
    for feature in statistics.datasets[0].features:
        if list(feature.path.step) == ["timestamp"]:
            return feature.num_stats.min, feature.num_stats.max
    return None


def _read_json(directory: str, name: str) -> Any:
    """What a file holds; None where there is no such file."""
    path = os.path.join(directory, name)
    if not fileio.exists(path):
        return None
    with fileio.open(path) as file:
        return json.loads(file.read())


def _read_lines(directory: str, name: str) -> list[Mapping[str, Any]]:
    """The records of a file of JSON lines; none where there is no such file."""
    path = os.path.join(directory, name)
    if not fileio.exists(path):
        return []
    with fileio.open(path) as file:
        return [json.loads(line) for line in file.read().splitlines()]
