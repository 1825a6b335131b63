"""TeacherTrainer: sequences → teacher model."""

import os

import keras
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model

from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training.devices import choose_strategy, is_chief
from adarec_tf.training.fit import EpochRecord
from adarec_tf.training.train_teacher import train_teacher
from components.artifacts import MEMBER_MODEL_FILE, Sequences, Vocabulary
from components.checkpoints import file_fingerprint, resumable
from components.determinism import deterministic_operations
from components.initial_models import continue_from_file
from components.model_artifact import read_vocabulary, teacher_files, write_model


@component
def TeacherTrainer(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[Sequences],
    vocabulary: InputArtifact[Vocabulary],
    model: OutputArtifact[Model],
    teacher_config: Parameter[str],
    training_config: Parameter[str],
    windows: Parameter[str],
    compute_dtype: Parameter[str],
    seed: Parameter[int],
    code_fingerprint: Parameter[str],
    checkpoint_dir: Parameter[str],
    log_dir: Parameter[str],
    initial_model: Parameter[str] = "",
) -> None:
    """Trains the teacher that `teacher_config` describes, or several, on all devices there are.

    Where several workers run this step together, the chief alone writes the model.

    Args:
      sequences: split histories.
      vocabulary: their items.
      model: the trained teacher, and the further members of an ensemble.
      teacher_config: JSON of `TeacherConfig`.
      training_config: JSON of `TrainingConfig`.
      windows: which windows of a long history are trained on, as `data.windows`.
      compute_dtype: of the catalog logits.
      seed: of weights, dropout and batches.
      code_fingerprint: of the code this runs, so that the cache sees changes.
      checkpoint_dir: where an interrupted training continues from.
      log_dir: where TensorBoard finds a folder of each stage.
      initial_model: folder of an earlier run's teacher, from whose weights this one continues, each
        of an ensemble from its own; "" begins with fresh weights.

    Raises:
      ValueError: the earlier teacher is of another architecture, or knows other items.
    """
    strategy = choose_strategy()  # first: see its docstring
    seed = int(seed)  # Kubeflow passes numbers as floats
    training = TrainingConfig.from_json(training_config)
    statistics = read_statistics(sequences.uri)
    items = read_vocabulary(vocabulary.uri)
    initial_files = teacher_files(initial_model) if initial_model else []
    if initial_files and len(initial_files) != training.num_teachers:
        raise ValueError(
            "`training.num_teachers` should be that of the run whose teachers these continue from, "
            f"{len(initial_files)}. Received: {training.num_teachers}."
        )
    identity = (
        teacher_config,
        training_config,
        windows,
        compute_dtype,
        seed,
        code_fingerprint,
        statistics.data_fingerprint,
        *map(file_fingerprint, initial_files),
    )

    def train(number: int, folder: str) -> tuple[keras.Model, list[EpochRecord]]:
        """Trains one of the teachers, numbered from 1."""
        name = f"teacher_{number}" if number > 1 else "teacher"
        with strategy.scope():
            teacher = build_teacher(
                TeacherConfig.from_json(teacher_config),
                statistics.num_items,
                statistics.max_length,
                seed=seed + number - 1,
            )
        if initial_files:
            continue_from_file(teacher, initial_files[number - 1], initial_model, items)
        training_history = train_teacher(
            teacher,
            read_histories(sequences.uri, "train"),
            read_histories(sequences.uri, "valid"),
            training,
            max_length=statistics.max_length,
            seen=statistics.seen,
            seed=seed + number - 1,
            checkpoint_dir=os.path.join(folder, name),
            log_dir=os.path.join(log_dir, name),
            start_counts=bool(initial_files),
            windows=windows,
            compute_dtype=compute_dtype,
        )
        return teacher, training_history

    with (
        resumable(checkpoint_dir, "teacher", *identity, is_owner=is_chief(strategy)) as checkpoint,
        deterministic_operations(),
    ):
        teacher, training_history = train(1, checkpoint)
        others = [train(number, checkpoint) for number in range(2, training.num_teachers + 1)]
        if not is_chief(strategy):
            return
        write_model(
            model.uri,
            teacher,
            training_history,
            statistics=statistics,
            vocabulary=items,
            test=read_histories(sequences.uri, "test"),
            manifest={"role": "teacher", "teacher_config": teacher_config, "seed": seed},
        )
        for number, (member, _) in enumerate(others, start=2):
            member.save(os.path.join(model.uri, MEMBER_MODEL_FILE.format(number=number)))
