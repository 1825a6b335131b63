"""Reads an architecture that is given in place of a search: a genotype's file, or a front's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adarec_tf.models.students.genotype import Genotype


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
