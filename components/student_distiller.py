"""StudentDistiller: sequences + teacher + genotype → student model."""

import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.distillation.distiller import train_student
from adarec_tf.models.students import student_config_of
from adarec_tf.models.students.genotype import read_genotype
from components import artifacts
from components.checkpoints import resumable
from components.model_artifact import (
    read_earlier,
    read_teacher,
    read_vocabulary,
    teacher_files,
    write_model,
)
from components.recipes import read_recipe


@component
def StudentDistiller(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[artifacts.Sequences],
    vocabulary: InputArtifact[artifacts.Vocabulary],
    teacher: InputArtifact[Model],
    genotype: InputArtifact[artifacts.Genotype],
    recipe: InputArtifact[artifacts.Recipe],
    model: OutputArtifact[Model],
    student_config: Parameter[str],
    distillation_config: Parameter[str],
    fixed: Parameter[str],
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
      recipe: settings that were decided.
      model: the trained student.
      student_config: JSON of `StudentConfig`.
      distillation_config: JSON of `DistillationConfig`.
      fixed: names of settings that were given by hand, with spaces between; the recipe decides
        the others.
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
    items = read_vocabulary(vocabulary.uri)
    architecture = read_genotype(os.path.join(genotype.uri, artifacts.GENOTYPE_FILE))
    decided, names = read_recipe(recipe.uri), fixed.split()
    config = decided.applied("student", StudentConfig.from_json(student_config), names)
    config = student_config_of(architecture, config)
    distillation = decided.applied(
        "distillation", DistillationConfig.from_json(distillation_config), names
    )
    [earlier] = read_earlier(initial_model, items) or [None]
    configs = [config.to_json(), distillation.to_json()]
    settings = [*configs, statistics.windows, compute_dtype, seed]
    identity = [*settings, architecture.to_json(), code_fingerprint, statistics.data_fingerprint]
    files = [*teacher_files(teacher.uri), *teacher_files(initial_model)]
    with resumable(checkpoint_dir, "student", identity, files) as checkpoint:
        student, training_history = train_student(
            architecture,
            config,
            read_teacher(teacher.uri),
            read_histories(sequences.uri, "train"),
            read_histories(sequences.uri, "valid"),
            distillation,
            statistics=statistics,
            seed=seed,
            checkpoint_dir=checkpoint,
            log_dir=os.path.join(log_dir, "student"),
            earlier=earlier,
            windows=statistics.windows,
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
