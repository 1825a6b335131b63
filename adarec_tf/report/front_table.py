"""The students of a front as a table of a run's last lines, and how to have one of them."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from adarec_tf.training.fit import SELECTION_METRIC

_QUANTITIES = ("NDCG@10, valid", "encoder MACs", "parameters", "served bytes", "latency")


def front_table(front: Mapping[str, Any]) -> Table:
    """One row a student, from the content of `front.json`; the searched one has a star.

    Width and number of cells have columns where the front's students differ in them.
    """
    searched, students = front["searched"], [*front["students"]]
    num_of_front = len(students)
    students += [] if searched in students else [searched]
    sizes = {
        "width": [student["genotype"].get("hidden_dim") for student in students],
        "cells": [len(student["genotype"]["cells"]) for student in students],
    }
    searched_sizes = {name: column for name, column in sizes.items() if len(set(column)) > 1}
    shown = Table(title=f"Front by {front['quantity']}", title_justify="left")
    shown.add_column("student")
    for name in (*searched_sizes, *_QUANTITIES):
        shown.add_column(name, justify="right")
    for place, student in enumerate(students):
        if place == num_of_front:
            shown.add_section()
        number = f"{place + 1}" if place < num_of_front else ""
        label = f"{number} {'*' if student == searched else ''}".strip()
        columns = (f"{column[place]}" for column in searched_sizes.values())
        shown.add_row(label, *columns, *_quantities(student))
    return shown


def front_lines(path: str) -> list[str]:
    """What the table's figures are, and how another of its students is trained."""
    return [
        "* is the student found. Before training by itself: metrics are the supernet's, costs the "
        "search's.",
        f"For another of them, the same command with --set search.genotype={path}:1",
    ]


def _quantities(student: Mapping[str, Any]) -> list[str]:
    costs = student["costs"]
    latency = f"{costs['latency_ms']:.2f} ms" if costs["latency_ms"] > 0 else "–"
    counts = (costs["macs"], costs["parameters"], costs["served_bytes"])
    return [f"{student[SELECTION_METRIC]:.4f}", *(f"{count:,}" for count in counts), latency]
