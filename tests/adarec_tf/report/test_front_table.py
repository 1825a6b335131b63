import io
from typing import Any

from rich.console import Console

from adarec_tf.report.front_table import front_table


def _student(num_cells: int, hidden_dim: int | None, metric: float) -> dict[str, Any]:
    width = {} if hidden_dim is None else {"hidden_dim": hidden_dim}
    costs = {"macs": 7, "parameters": 8, "served_bytes": 9, "latency_ms": 0.5}
    cells = [[[0, 1, "skip"]]] * num_cells
    return {"genotype": {**width, "cells": cells}, "ndcg@10/full": metric, "costs": costs}


def _columns(*students: dict[str, Any], searched: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The head of the table's first columns, and their first row."""
    front = {"quantity": "macs", "students": students, "searched": searched}
    screen = io.StringIO()
    Console(file=screen, width=140).print(front_table(front))
    lines = [line for line in screen.getvalue().splitlines() if "NDCG@10" in line or "0.1" in line]
    head, first = ([cell.strip() for cell in line.strip("┃│").split(line[0])] for line in lines[:2])
    metric = head.index("NDCG@10, valid")
    return head[:metric], first[:metric]


def test_what_all_students_have_in_common_is_no_column() -> None:
    first, second = _student(2, 32, 0.1), _student(2, 32, 0.2)
    assert _columns(first, second, searched=second) == (["student"], ["1"])


def test_width_and_cells_are_columns_where_they_were_searched() -> None:
    narrow, wide, deep = _student(2, 32, 0.1), _student(2, 48, 0.2), _student(3, 32, 0.3)
    assert _columns(narrow, wide, searched=wide) == (["student", "width"], ["1", "32"])
    assert _columns(narrow, deep, searched=deep) == (["student", "cells"], ["1", "2"])
    both = (["student", "width", "cells"], ["1", "32", "2"])
    assert _columns(narrow, wide, deep, searched=deep) == both


def test_the_student_found_counts_where_it_is_not_of_the_front() -> None:
    narrow, dominated = _student(2, 32, 0.1), _student(3, 48, 0.05)
    assert _columns(narrow, searched=dominated) == (
        ["student", "width", "cells"],
        ["1", "32", "2"],
    )
    assert _columns(narrow, searched=_student(2, 32, 0.05))[0] == ["student"]
