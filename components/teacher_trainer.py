"""TeacherTrainer: sequences → teacher model."""

import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model

from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.training.devices import choose_strategy, is_chief
from adarec_tf.training.train_teacher import train_teachers
from adarec_tf.tuning.memory import count_teachers
from components.artifacts import MEMBER_MODEL_FILE, Recipe, Sequences, Vocabulary
from components.checkpoints import resumable
from components.model_artifact import read_earlier, read_vocabulary, teacher_files, write_model
from components.recipes import read_recipe


@component
def TeacherTrainer(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[Sequences],
    vocabulary: InputArtifact[Vocabulary],
    recipe: InputArtifact[Recipe],
    model: OutputArtifact[Model],
    teacher_config: Parameter[str],
    training_config: Parameter[str],
    fixed: Parameter[str],
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
      recipe: settings that were decided.
      model: the trained teacher, and the further members of an ensemble.
      teacher_config: JSON of `TeacherConfig`.
      training_config: JSON of `TrainingConfig`.
      fixed: names of settings that were given by hand, with spaces between; the recipe decides
        the others.
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
    statistics = read_statistics(sequences.uri)
    items = read_vocabulary(vocabulary.uri)
    decided, names = read_recipe(recipe.uri), fixed.split()
    teacher = decided.applied("teacher", TeacherConfig.from_json(teacher_config), names)
    training = decided.applied("training", TrainingConfig.from_json(training_config), names)
    settings = [
        *(teacher.to_json(), training.to_json()),
        *(statistics.windows, compute_dtype, seed),
    ]
    with resumable(
        checkpoint_dir,
        "teacher",
        [*settings, code_fingerprint, statistics.data_fingerprint],
        teacher_files(initial_model),
        is_owner=is_chief(strategy),
    ) as checkpoint:
        train = read_histories(sequences.uri, "train")
        first, *members = train_teachers(
            teacher,
            training,
            train,
            read_histories(sequences.uri, "valid"),
            statistics=statistics,
            seed=seed,
            checkpoint_dir=checkpoint,
            log_dir=log_dir,
            strategy=strategy,
            earlier=read_earlier(initial_model, items),
            windows=statistics.windows,
            compute_dtype=compute_dtype,
            num_processes=count_teachers(
                training.num_teachers, teacher, train, training, statistics.num_items, strategy
            ),
        )
        if not is_chief(strategy):
            return
        write_model(
            model.uri,
            first.model,
            first.training_history,
            statistics=statistics,
            vocabulary=items,
            test=read_histories(sequences.uri, "test"),
            manifest={"role": "teacher", "teacher_config": teacher.to_json(), "seed": seed},
        )
        for number, member in enumerate(members, start=2):
            member.model.save(os.path.join(model.uri, MEMBER_MODEL_FILE.format(number=number)))
