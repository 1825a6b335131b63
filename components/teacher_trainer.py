"""TeacherTrainer: sequences → teacher model."""

import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model

from adarec_tf.config import TrainingConfig
from adarec_tf.data.examples import read_histories, read_statistics
from adarec_tf.devices import choose_strategy, is_chief
from adarec_tf.teacher_config import TeacherConfig
from adarec_tf.teachers import build_teacher
from adarec_tf.teachers.training import train_teacher
from components.artifacts import Sequences, Vocabulary
from components.checkpoints import resumable
from components.determinism import deterministic_operations
from components.model_artifact import read_vocabulary, write_model


@component
def TeacherTrainer(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[Sequences],
    vocabulary: InputArtifact[Vocabulary],
    model: OutputArtifact[Model],
    teacher_config: Parameter[str],
    training_config: Parameter[str],
    seed: Parameter[int],
    code_fingerprint: Parameter[str],
    checkpoint_dir: Parameter[str],
    log_dir: Parameter[str],
) -> None:
    """Trains the teacher that `teacher_config` describes, on all devices there are.

    Where several workers run this step together, the chief alone writes the model.

    Args:
      sequences: split histories.
      vocabulary: their items.
      model: the trained teacher.
      teacher_config: JSON of `TeacherConfig`.
      training_config: JSON of `TrainingConfig`.
      seed: of weights, dropout and batches.
      code_fingerprint: of the code this runs, so that the cache sees changes.
      checkpoint_dir: where an interrupted training continues from.
      log_dir: where TensorBoard finds a folder of each stage.
    """
    strategy = choose_strategy()  # first: see its docstring
    seed = int(seed)  # Kubeflow passes numbers as floats
    config = TeacherConfig.from_json(teacher_config)
    statistics = read_statistics(sequences.uri)
    with strategy.scope():
        teacher = build_teacher(config, statistics.num_items, statistics.max_length, seed=seed)
    identity = (
        teacher_config,
        training_config,
        seed,
        code_fingerprint,
        statistics.data_fingerprint,
    )
    with (
        resumable(checkpoint_dir, "teacher", *identity, is_owner=is_chief(strategy)) as checkpoint,
        deterministic_operations(),
    ):
        training_history = train_teacher(
            teacher,
            read_histories(sequences.uri, "train"),
            read_histories(sequences.uri, "valid"),
            TrainingConfig.from_json(training_config),
            max_length=statistics.max_length,
            seen=statistics.seen,
            seed=seed,
            checkpoint_dir=checkpoint,
            log_dir=os.path.join(log_dir, "teacher"),
        )
        if not is_chief(strategy):
            return
        write_model(
            model.uri,
            teacher,
            training_history,
            statistics=statistics,
            vocabulary=read_vocabulary(vocabulary.uri),
            test=read_histories(sequences.uri, "test"),
            manifest={"role": "teacher", "teacher_config": teacher_config, "seed": seed},
        )
