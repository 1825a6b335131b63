"""TeacherTuner: sequences → recipe."""

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component

from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.training.devices import choose_strategy, is_chief
from adarec_tf.tuning.teacher_tuner import find_recipe
from components.artifacts import Recipe, Sequences
from components.checkpoints import resumable
from components.recipes import read_recipe, write_recipe


@component
def TeacherTuner(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[Sequences],
    recipe: OutputArtifact[Recipe],
    teacher_config: Parameter[str],
    training_config: Parameter[str],
    fixed: Parameter[str],
    effort: Parameter[str],
    compute_dtype: Parameter[str],
    seed: Parameter[int],
    code_fingerprint: Parameter[str],
    checkpoint_dir: Parameter[str],
    initial_recipe: Parameter[str] = "",
) -> None:
    """Decides from the scene and by trials what the teacher is and how it is trained.

    Args:
      sequences: split histories.
      recipe: what was decided, and why.
      teacher_config: JSON of `TeacherConfig`, for the settings that were given by hand.
      training_config: JSON of `TrainingConfig`, likewise.
      fixed: names of these settings, with spaces between.
      effort: `none`, `quick`, `standard` or `thorough`.
      compute_dtype: of the catalog logits.
      seed: of weights, dropout, batches and the users of a trial.
      code_fingerprint: of the code this runs, so that the cache sees changes.
      checkpoint_dir: where interrupted trials continue from.
      initial_recipe: folder of an earlier run's recipe, whose decisions stay; "" decides anew.
    """
    strategy = choose_strategy()  # first: see its docstring
    seed = int(seed)  # Kubeflow passes numbers as floats
    statistics = read_statistics(sequences.uri)
    settings = [
        teacher_config,
        training_config,
        fixed,
        effort,
        compute_dtype,
        seed,
    ]
    with resumable(
        checkpoint_dir,
        "trials",
        [*settings, code_fingerprint, statistics.data_fingerprint],
        is_owner=is_chief(strategy),
    ) as checkpoint:
        found = find_recipe(
            read_histories(sequences.uri, "train"),
            read_histories(sequences.uri, "valid"),
            statistics=statistics,
            teacher=TeacherConfig.from_json(teacher_config),
            training=TrainingConfig.from_json(training_config),
            fixed=fixed.split(),
            effort=effort,
            seed=seed,
            checkpoint_dir=checkpoint,
            strategy=strategy,
            compute_dtype=compute_dtype,
            earlier=read_recipe(initial_recipe) if initial_recipe else None,
        )
        if is_chief(strategy):
            write_recipe(recipe.uri, found)
