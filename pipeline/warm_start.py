"""Which earlier run a run continues from, and whether its settings go with that.

The earlier run is the last one whose student was blessed, by the evaluator and by the server that
was tried, on an earlier log: of daily folders one that ended with an earlier day, of other logs one
in another state. So a run that is started again continues from where it did before, and a day that
is made up for never continues from a later one.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.export.bundle import read_manifest
from adarec_tf.models.students import student_config_of
from adarec_tf.models.students.genotype import read_genotype
from adarec_tf.search.space.search_space import check_size
from components.artifacts import GENOTYPE_FILE, VOCABULARY_FILE
from components.input_spans import LogIdentity, identity_of
from components.model_artifact import bundle_dir, teacher_files
from pipeline.results import RunRecord, is_blessed, read_runs

LAST_OR_COLD = "last-or-cold"
# What a training may change: it is no part of the weights or of what is done with them.
_FREE_SETTINGS = ("dropout", "mask_probability", "fine_tune_epochs")


class WarmStart(NamedTuple):
    """What a run begins with, of an earlier one.

    Attributes:
      run: when that was started, as people write it.
      spans: the daily folders it read, in a line; "" of a log without.
      recipe: folder of its recipe; "" of a run from before there were recipes.
      vocabulary: file of its vocabulary.
      teacher: folder of its teachers.
      student: folder of its student; "" if the student is trained anew.
      genotype: file of its genotype; "" if another is used.
    """

    run: str
    spans: str
    recipe: str
    vocabulary: str
    teacher: str
    student: str
    genotype: str


def find_warm_start(
    metadata_path: str | os.PathLike[str], log: LogIdentity, mode: str
) -> WarmStart | None:
    """The earlier run to continue from.

    Args:
      metadata_path: SQLite file of ML Metadata; it need not exist.
      log: what this run reads.
      mode: `last`, or `last-or-cold`, for which there need not be one.

    Returns:
      The last blessed run on an earlier log; None if there is none.

    Raises:
      ValueError: there is none and there should be, or its files are gone.
    """
    runs = read_runs(metadata_path)
    blessed = [run for run in runs if is_blessed(run)]
    earlier = [run for run in blessed if _is_earlier(_log_of(run), log)]
    if not earlier:
        if mode == LAST_OR_COLD:
            return None
        raise ValueError(
            "--warm-start last should find a run in this workdir whose student was blessed, on an "
            f"earlier log than this one. Received: {_count_runs(runs, blessed)}. Run without "
            "--warm-start first, or with --warm-start last-or-cold."
        )
    # The last of those that are equally late: sorting keeps their order.
    start = _to_start(sorted(earlier, key=lambda run: _log_of(run).span)[-1])
    _check_files_are_there(start)
    return start


def warm_config(
    config: PipelineConfig, start: WarmStart, *, search_again: bool
) -> tuple[PipelineConfig, WarmStart]:
    """The settings of a run that continues, and with what of the earlier one.

    The genotype is the earlier one, unless it is to be searched or another is given; with another,
    the student is trained anew.

    Args:
      config: as the user gave it.
      start: the earlier run.
      search_again: whether the student is searched.

    Raises:
      ValueError: a setting differs that weights depend on; the message says which.
    """
    _check_teacher(config, start)
    given = config.search.genotype
    is_kept = not search_again and (
        not given or read_genotype(given) == read_genotype(start.genotype)
    )
    if not is_kept:
        return config, start._replace(student="", genotype="")
    kept = config.replace(search=config.search.replace(genotype=start.genotype))
    _check_student(kept, start)
    return kept, start


def describe_start(start: WarmStart | None) -> str:
    """What a run continues from, in a line."""
    if start is None:
        return "Cold start: no earlier run has a blessed student."
    spans = f" (spans {start.spans})" if start.spans else ""
    student = (
        "teacher and student continue, the genotype is kept"
        if start.student
        else "the teacher continues, the student begins anew"
    )
    return f"Warm start from the run of {start.run}{spans}: {student}."


def _count_runs(runs: Sequence[RunRecord], blessed: Sequence[RunRecord]) -> str:
    if not runs:
        return "no run"
    if not blessed:
        return f"{len(runs)} runs, none of them blessed"
    return f"{len(blessed)} blessed runs, on this very log or a later one"


def _log_of(run: RunRecord) -> LogIdentity:
    return identity_of(run.outputs["InteractionsGen"]["examples"].mlmd_artifact)


def _is_earlier(log: LogIdentity, than: LogIdentity) -> bool:
    if than.span > 0:
        return log.span < than.span
    return log.fingerprint != than.fingerprint


def _to_start(run: RunRecord) -> WarmStart:
    outputs = run.outputs
    examples = outputs["InteractionsGen"]["examples"]
    vocabulary = outputs["SequencePreprocessor"]["vocabulary"].uri
    recipe = outputs["StudentSearcher"].get("student_recipe")
    recipe = recipe or outputs.get("TeacherTuner", {}).get("recipe")  # of earlier versions
    return WarmStart(
        run=f"{datetime.fromtimestamp(run.started_at):%Y-%m-%d %H:%M:%S}",
        spans=examples.get_string_custom_property("spans"),
        recipe=recipe.uri if recipe else "",
        vocabulary=os.path.join(vocabulary, VOCABULARY_FILE),
        teacher=outputs["TeacherTrainer"]["model"].uri,
        student=outputs["StudentDistiller"]["model"].uri,
        genotype=os.path.join(outputs["StudentSearcher"]["genotype"].uri, GENOTYPE_FILE),
    )


def _check_files_are_there(start: WarmStart) -> None:
    for path in (start.recipe, start.vocabulary, start.teacher, start.student, start.genotype):
        if path and not os.path.exists(path):
            raise ValueError(
                f"The last blessed run, of {start.run}, should have its results where it put them. "
                f"Received: nothing at {path}. Bring it back, or run without --warm-start."
            )


def _check_teacher(config: PipelineConfig, start: WarmStart) -> None:
    manifest = read_manifest(bundle_dir(start.teacher))
    earlier = json.loads(manifest["teacher_config"])
    now = config.teacher.to_dict()
    _check_equal("teacher.name", now["name"], earlier["name"], start)
    fixed = {name: value for name, value in now.items() if name not in _FREE_SETTINGS}
    _check_equal("teacher", fixed, earlier, start)
    num_teachers = len(teacher_files(start.teacher))
    _check_equal("training.num_teachers", config.training.num_teachers, num_teachers, start)
    _check_equal("data.max_length", config.data.max_length, manifest["max_length"], start)


def _check_student(config: PipelineConfig, start: WarmStart) -> None:
    genotype = read_genotype(start.genotype)
    try:
        check_size(genotype, config.student, config.search)
    except ValueError as error:
        raise ValueError(f"{error} To have another, run with --search-again.") from error
    manifest = read_manifest(bundle_dir(start.student))
    earlier = json.loads(manifest["student_config"])
    now = student_config_of(genotype, config.student).to_dict()
    fixed = {name: now[name] for name in ("hidden_dim", "precision")}
    advice = " For a new student, run with --search-again."
    _check_equal("student", fixed, earlier, start, advice)


def _check_equal(key: str, value: Any, before: Any, start: WarmStart, advice: str = "") -> None:
    if isinstance(value, Mapping):
        for name in value:
            if name in before:  # or it is a setting that there was not yet
                _check_equal(f"{key}.{name}", value[name], before[name], start, advice)
    elif value != before:
        raise ValueError(
            f"`{key}` should be {before}, as in the run of {start.run} whose weights this one "
            f"continues from. Received: {value}. For another, run without --warm-start.{advice}"
        )
