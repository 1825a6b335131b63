"""StudentDistiller: sequences + teacher + genotype → student model."""

import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import Model

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.distillation.distiller import distill_student
from adarec_tf.models.students import build_student, student_config_of
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.report.transport_picture import draw_transport
from components import artifacts
from components.checkpoints import file_fingerprint, resumable
from components.determinism import deterministic_operations
from components.initial_models import continue_from_file
from components.model_artifact import (
    read_teacher,
    read_vocabulary,
    teacher_files,
    write_model,
)


@component
def StudentDistiller(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[artifacts.Sequences],
    vocabulary: InputArtifact[artifacts.Vocabulary],
    teacher: InputArtifact[Model],
    genotype: InputArtifact[artifacts.Genotype],
    model: OutputArtifact[Model],
    student_config: Parameter[str],
    distillation_config: Parameter[str],
    windows: Parameter[str],
    compute_dtype: Parameter[str],
    seed: Parameter[int],
    code_fingerprint: Parameter[str],
    checkpoint_dir: Parameter[str],
    log_dir: Parameter[str],
    initial_model: Parameter[str] = "",
) -> None:
    """Trains the student that the genotype describes, with the teacher's help.

    Args:
      sequences: split histories.
      vocabulary: their items.
      teacher: what the student learns from.
      genotype: the student's architecture.
      model: the trained student.
      student_config: JSON of `StudentConfig`.
      distillation_config: JSON of `DistillationConfig`.
      windows: which windows of a long history are trained on, as `data.windows`.
      compute_dtype: of the catalog logits.
      seed: of weights, dropout and batches.
      code_fingerprint: of the code this runs, so that the cache sees changes.
      checkpoint_dir: where an interrupted training continues from.
      log_dir: where TensorBoard finds a folder of each stage.
      initial_model: folder of an earlier run's student of this genotype, from whose weights this
        one continues, whatever the initial table of the config; "" begins anew.

    Raises:
      ValueError: the earlier student is of another architecture, or knows other items.
    """
    seed = int(seed)  # Kubeflow passes numbers as floats
    statistics = read_statistics(sequences.uri)
    with fileio.open(os.path.join(genotype.uri, artifacts.GENOTYPE_FILE)) as file:
        architecture = Genotype.from_json(file.read())
    config = student_config_of(architecture, StudentConfig.from_json(student_config))
    distillation = DistillationConfig.from_json(distillation_config)
    items = read_vocabulary(vocabulary.uri)
    student = build_student(
        architecture, config, statistics.num_items, statistics.max_length, seed=seed
    )
    if initial_model:
        distillation = distillation.replace(initial_table="random")
        initial_file = os.path.join(initial_model, artifacts.KERAS_MODEL_FILE)
        continue_from_file(student, initial_file, initial_model, items)
    identity = (
        student_config,
        distillation_config,
        windows,
        compute_dtype,
        architecture.to_json(),
        seed,
        code_fingerprint,
        statistics.data_fingerprint,
        *map(file_fingerprint, teacher_files(teacher.uri)),
        *([file_fingerprint(initial_file)] if initial_model else []),
    )
    with resumable(checkpoint_dir, "student", *identity) as checkpoint, deterministic_operations():
        training_history = distill_student(
            student,
            read_teacher(teacher.uri),
            read_histories(sequences.uri, "train"),
            read_histories(sequences.uri, "valid"),
            distillation,
            max_length=statistics.max_length,
            seen=statistics.seen,
            seed=seed,
            checkpoint_dir=checkpoint,
            log_dir=os.path.join(log_dir, "student"),
            start_counts=bool(initial_model),
            windows=windows,
            compute_dtype=compute_dtype,
        )
        write_model(
            model.uri,
            student,
            training_history,
            statistics=statistics,
            vocabulary=items,
            test=read_histories(sequences.uri, "test"),
            manifest={"role": "student", "student_config": config.to_json(), "seed": seed},
            genotype_json=architecture.to_json(),
        )
        if distillation.hidden_weight > 0:
            draw_transport(
                training_history, os.path.join(model.uri, artifacts.TRANSPORT_PICTURE_FILE)
            )
