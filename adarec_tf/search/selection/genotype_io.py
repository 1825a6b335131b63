"""An architecture that is given in place of a search: from a genotype's file, or from a front."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.models.students import student_frame
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.cost.budget import find_budgets
from adarec_tf.search.cost.cost import search_costs


def given_genotype(
    teacher: keras.Model | EnsembleTeacher,
    student: StudentConfig,
    search: SearchConfig,
    *,
    max_length: int,
    kept_path: str,
) -> Genotype:
    """The genotype that `search.genotype` names, if it fits the frame and keeps the budgets.

    Args:
      teacher: a trained sequence model, or several; budgets may be a share of it, or of the first.
      student: the frame of the student.
      search: names the file, and the budgets.
      max_length: items of a history.
      kept_path: where costs are kept that have to be measured.

    Raises:
      ValueError: there is no such genotype, it is of another frame, or overruns a budget.
    """
    genotype = read_genotype(search.genotype).without_dead_edges()
    check_frame(genotype, student, search)
    costs = search_costs(
        teacher.members[0] if isinstance(teacher, EnsembleTeacher) else teacher,
        student_frame(genotype, student),
        search,
        max_length=max_length,
        kept_path=kept_path,
    )
    for budget in find_budgets(search, costs, num_cells=1):
        if not budget.is_kept_by(genotype):
            raise ValueError(
                f"`search.genotype` should keep search.{budget.setting}={budget.value:g}. "
                f"Received: {search.genotype}, whose student costs {costs.cost_of(genotype)}."
            )
    return genotype


def check_frame(genotype: Genotype, student: StudentConfig, search: SearchConfig) -> None:
    """Checks that a genotype has as many cells and nodes as a student may have.

    Raises:
      ValueError: it has others.
    """
    num_cells = len(genotype.cells)
    fewest = student.num_cells - search.num_optional_cells(student.num_cells)
    if not fewest <= num_cells <= student.num_cells or genotype.num_nodes != student.num_nodes:
        at_least = f"{fewest} to " if fewest < student.num_cells else ""
        raise ValueError(
            f"`search.genotype` should have num_cells={at_least}{student.num_cells} and "
            f"num_nodes={student.num_nodes}, as `student` and `search.min_cells` say. Received: "
            f"{search.genotype} with num_cells={num_cells} and num_nodes={genotype.num_nodes}."
        )


def read_genotype(given: str) -> Genotype:
    """Reads `FILE`, or a student of a front as `FILE:NUMBER`, counted from 1.

    Raises:
      ValueError: there is no such file, it holds no genotype, or no student of that number.
    """
    path, number = split_number(given)
    if not Path(path).is_file():
        raise ValueError(f"`search.genotype` should be an existing file. Received: {given}.")
    try:
        values = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"`search.genotype` should be a JSON file. Received: {given} ({error})."
        ) from error
    if isinstance(values, dict) and "students" in values:
        values = _student_of(values["students"], number, given)["genotype"]
    elif number:
        raise ValueError(
            f"`search.genotype` should have a number behind a front only. Received: {given}, which "
            "is none."
        )
    return Genotype.from_dict(values)


def split_number(given: str) -> tuple[str, int]:
    """The path and the number of `FILE:NUMBER`, which is 0 where there is none.

    >>> split_number("front.json:2")
    ('front.json', 2)
    >>> split_number("genotype.json")
    ('genotype.json', 0)
    """
    path, _, number = given.rpartition(":")
    return (path, int(number)) if path and number.isdecimal() else (given, 0)


def _student_of(students: Sequence[Any], number: int, given: str) -> Any:
    if not 1 <= number <= len(students):
        raise ValueError(
            f"`search.genotype` should say which of the {len(students)} students of the front, as "
            f"in {split_number(given)[0]}:1. Received: {given}."
        )
    return students[number - 1]
