"""StudentSearcher: sequences + teacher → the student's recipe and genotype."""

import json
import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import Model

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.searcher import SearchResult
from adarec_tf.training.devices import choose_strategy, is_chief
from adarec_tf.tuning.by_hand import given_values
from adarec_tf.tuning.student import find_genotype
from adarec_tf.tuning.student_recipe import with_student
from components import artifacts
from components.checkpoints import resumable
from components.model_artifact import read_teacher, teacher_files
from components.recipes import read_recipe, write_recipe


@component
def StudentSearcher(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[artifacts.Sequences],
    teacher: InputArtifact[Model],
    recipe: InputArtifact[artifacts.Recipe],
    student_recipe: OutputArtifact[artifacts.Recipe],
    genotype: OutputArtifact[artifacts.Genotype],
    student_config: Parameter[str],
    search_config: Parameter[str],
    distillation_config: Parameter[str],
    max_bundle_bytes: Parameter[int],
    max_teacher_share: Parameter[float],
    fixed: Parameter[str],
    compute_dtype: Parameter[str],
    seed: Parameter[int],
    code_fingerprint: Parameter[str],
    checkpoint_dir: Parameter[str],
    log_dir: Parameter[str],
    cost_table_fingerprint: Parameter[str] = "",
    genotype_fingerprint: Parameter[str] = "",
) -> None:
    """Decides what the student is, and searches its architecture or takes the one that is named.

    Where several workers run this step together, the chief alone writes.

    Args:
      sequences: split histories.
      teacher: whose behavior guides the search.
      recipe: settings that were decided of the teacher.
      student_recipe: the same, and those of the student.
      genotype: the architecture found and the trace of the search.
      student_config: JSON of `StudentConfig`.
      search_config: JSON of `SearchConfig`.
      distillation_config: JSON of `DistillationConfig`.
      max_bundle_bytes: of the student; 0: any number.
      max_teacher_share: of the teacher's bundle that the student's may have; 0: a fifth.
      fixed: names of settings that were given by hand, with spaces between; the recipe decides
        the others.
      compute_dtype: of the catalog logits.
      seed: of weights, samples and batches.
      code_fingerprint: of the code this runs, so that the cache sees changes.
      checkpoint_dir: where an interrupted search continues from.
      log_dir: where TensorBoard finds a folder of each stage.
      cost_table_fingerprint: of the file that `search_config` names, for the cache to see changes.
      genotype_fingerprint: of the file of a genotype that it names.
    """
    strategy = choose_strategy()  # first: see its docstring
    # Kubeflow passes numbers as floats.
    seed, max_bundle_bytes = int(seed), int(max_bundle_bytes)
    statistics = read_statistics(sequences.uri)
    names = fixed.split()
    student = StudentConfig.from_json(student_config)
    search = SearchConfig.from_json(search_config)
    distillation = DistillationConfig.from_json(distillation_config)
    model = read_teacher(teacher.uri)
    decided = with_student(
        read_recipe(recipe.uri),
        model,
        given=given_values(names, student=student, search=search, distillation=distillation),
        budget=EvaluationConfig(
            max_bundle_bytes=max_bundle_bytes, max_teacher_share=max_teacher_share
        ),
    )
    student = decided.applied("student", student, names)
    search = decided.applied("search", search, names)
    distillation = decided.applied("distillation", distillation, names)
    configs = [config.to_json() for config in (student, search, distillation)]
    settings = [*configs, compute_dtype, seed]
    inputs = [statistics.data_fingerprint, cost_table_fingerprint, genotype_fingerprint]
    with resumable(
        checkpoint_dir,
        "search",
        [*settings, *inputs, code_fingerprint],
        teacher_files(teacher.uri),
        is_owner=is_chief(strategy),
    ) as checkpoint:
        architecture, result = find_genotype(
            model,
            read_histories(sequences.uri, "train"),
            read_histories(sequences.uri, "valid"),
            student=student,
            search=search,
            distillation=distillation,
            max_length=statistics.max_length,
            seen=statistics.seen,
            seed=seed,
            checkpoint_dir=checkpoint,
            log_dir=os.path.join(log_dir, "search"),
            strategy=strategy,
            compute_dtype=compute_dtype,
        )
        if is_chief(strategy):
            write_recipe(student_recipe.uri, decided)
            _write(architecture, result, genotype.uri)


def _write(architecture: Genotype, result: SearchResult | None, directory: str) -> None:
    """Writes a genotype and, where it was searched, how it was found."""
    with fileio.open(os.path.join(directory, artifacts.GENOTYPE_FILE), "w") as file:
        file.write(architecture.to_json() + "\n")
    if result is None:
        return
    with fileio.open(os.path.join(directory, artifacts.SEARCH_TRACE_FILE), "w") as file:
        file.write("".join(json.dumps(record) + "\n" for record in result.trace))
    if result.front is not None:
        with fileio.open(os.path.join(directory, artifacts.FRONT_FILE), "w") as file:
            file.write(result.front.to_json())
