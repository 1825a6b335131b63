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
    searched, students = front["searched"], front["students"]
    sizes = [_sizes(student) for student in (*students, searched)]
    searched_sizes = [name for name in sizes[0] if len({size[name] for size in sizes}) > 1]
    shown = Table(title=f"Front by {front['quantity']}", title_justify="left")
    shown.add_column("student")
    for name in (*searched_sizes, *_QUANTITIES):
        shown.add_column(name, justify="right")

    def add_row(label: str, student: Mapping[str, Any]) -> None:
        size = _sizes(student)
        shown.add_row(label, *(f"{size[name]}" for name in searched_sizes), *_quantities(student))

    for number, student in enumerate(students, start=1):
        add_row(f"{number} *" if student == searched else f"{number}", student)
    if searched not in students:
        shown.add_section()
        add_row("*", searched)
    return shown


def front_lines(path: str) -> list[str]:
    """What the table's figures are, and how another of its students is trained."""
    return [
        "* is the student found. Before training by itself: metrics are the supernet's, costs the "
        "search's.",
        f"For another of them, the same command with --set search.genotype={path}:1",
    ]


def _sizes(student: Mapping[str, Any]) -> dict[str, int | None]:
    genotype = student["genotype"]
    return {"width": genotype.get("hidden_dim"), "cells": len(genotype["cells"])}


def _quantities(student: Mapping[str, Any]) -> list[str]:
    costs = student["costs"]
    latency = f"{costs['latency_ms']:.2f} ms" if costs["latency_ms"] > 0 else "–"
    counts = (costs["macs"], costs["parameters"], costs["served_bytes"])
    return [f"{student[SELECTION_METRIC]:.4f}", *(f"{count:,}" for count in counts), latency]
