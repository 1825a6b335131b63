"""StudentSearcher: sequences + teacher → genotype."""

import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import Model

from adarec_tf.config import StudentConfig
from adarec_tf.data.examples import read_histories, read_statistics
from adarec_tf.distillation_config import DistillationConfig
from adarec_tf.report.genotype_picture import draw_genotype
from adarec_tf.report.search_picture import draw_search
from adarec_tf.search.searcher import search_genotype
from adarec_tf.search_config import SearchConfig
from components.artifacts import (
    GENOTYPE_FILE,
    GENOTYPE_PICTURE_FILE,
    SEARCH_PICTURE_FILE,
    SEARCH_TRACE_FILE,
    SUPERNET_STUDENT_FILE,
    Genotype,
    Sequences,
)
from components.checkpoints import file_fingerprint, resumable
from components.determinism import deterministic_operations
from components.model_artifact import read_teacher, teacher_files


@component
def StudentSearcher(  # noqa: N802 (a component is named as a class)
    sequences: InputArtifact[Sequences],
    teacher: InputArtifact[Model],
    genotype: OutputArtifact[Genotype],
    student_config: Parameter[str],
    search_config: Parameter[str],
    distillation_config: Parameter[str],
    seed: Parameter[int],
    code_fingerprint: Parameter[str],
    checkpoint_dir: Parameter[str],
    log_dir: Parameter[str],
    cost_table_fingerprint: Parameter[str] = "",
) -> None:
    """Searches the architecture of the student.

    Args:
      sequences: split histories.
      teacher: whose behaviour guides the search.
      genotype: the architecture found and the trace of the search.
      student_config: JSON of `StudentConfig`.
      search_config: JSON of `SearchConfig`.
      distillation_config: JSON of `DistillationConfig`.
      seed: of weights, samples and batches.
      code_fingerprint: of the code this runs, so that the cache sees changes.
      checkpoint_dir: where an interrupted search continues from.
      log_dir: where TensorBoard finds a folder of each stage.
      cost_table_fingerprint: of the file that `search_config` names, for the cache to see changes.
    """
    seed = int(seed)  # Kubeflow passes numbers as floats
    statistics = read_statistics(sequences.uri)
    identity = (
        student_config,
        search_config,
        distillation_config,
        seed,
        code_fingerprint,
        cost_table_fingerprint,
        statistics.data_fingerprint,
        *map(file_fingerprint, teacher_files(teacher.uri)),
    )
    with resumable(checkpoint_dir, "search", *identity) as checkpoint, deterministic_operations():
        # Beside the checkpoint: the trace of an interrupted search is continued as well.
        trace_path = os.path.join(checkpoint, SEARCH_TRACE_FILE)
        result = search_genotype(
            read_teacher(teacher.uri),
            read_histories(sequences.uri, "train"),
            read_histories(sequences.uri, "valid"),
            student=StudentConfig.from_json(student_config),
            search=SearchConfig.from_json(search_config),
            distillation=DistillationConfig.from_json(distillation_config),
            max_length=statistics.max_length,
            seen=statistics.seen,
            seed=seed,
            checkpoint_dir=checkpoint,
            log_dir=os.path.join(log_dir, "search"),
            trace_path=trace_path,
        )
        result.student.save(os.path.join(genotype.uri, SUPERNET_STUDENT_FILE))
        fileio.copy(trace_path, os.path.join(genotype.uri, SEARCH_TRACE_FILE), overwrite=True)
        with fileio.open(os.path.join(genotype.uri, GENOTYPE_FILE), "w") as file:
            file.write(result.genotype.to_json() + "\n")
        draw_search(result.trace, os.path.join(genotype.uri, SEARCH_PICTURE_FILE))
        draw_genotype(result.genotype, os.path.join(genotype.uri, GENOTYPE_PICTURE_FILE))
