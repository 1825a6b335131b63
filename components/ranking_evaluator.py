"""RankingEvaluator: test sequences + teacher + student → evaluation + model blessing."""

import json
import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.report.comparison import compare_models, judge
from components.artifacts import METRICS_FILE, Sequences, Vocabulary
from components.blessings import write_blessing
from components.model_artifact import bundle_dir, read_model, read_teachers, read_vocabulary


@component
def RankingEvaluator(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[Sequences],
    vocabulary: InputArtifact[Vocabulary],
    teacher: InputArtifact[Model],
    student: InputArtifact[Model],
    evaluation: OutputArtifact[ModelEvaluation],
    blessing: OutputArtifact[ModelBlessing],
    evaluation_config: Parameter[str],
    code_fingerprint: Parameter[str],
) -> None:
    """Compares student, teacher and baselines on the test targets, and judges the student.

    Args:
      sequences: split histories.
      vocabulary: their items.
      teacher: the trained teacher, or several.
      student: the trained student.
      evaluation: `metrics.json`, a row of figures a model, slices, intervals and a paired test.
      blessing: whether the student may be served, and why.
      evaluation_config: JSON of `EvaluationConfig`.
      code_fingerprint: of the code this runs, so that the cache sees changes.
    """
    del code_fingerprint  # a part of the cache key alone
    config = EvaluationConfig.from_json(evaluation_config)
    comparison = compare_models(
        read_teachers(teacher.uri),
        read_model(student.uri),
        read_histories(sequences.uri, "train"),
        read_histories(sequences.uri, "test"),
        statistics=read_statistics(sequences.uri),
        vocabulary=read_vocabulary(vocabulary.uri),
        teacher_bundle=bundle_dir(teacher.uri),
        student_bundle=bundle_dir(student.uri),
    )
    verdict = judge(comparison.rows, config)
    fileio.makedirs(evaluation.uri)
    with fileio.open(os.path.join(evaluation.uri, METRICS_FILE), "w") as file:
        file.write(json.dumps(comparison.to_dict(), indent=2) + "\n")
    write_blessing(blessing, is_blessed=verdict.is_blessed, reasons=verdict.reasons)
