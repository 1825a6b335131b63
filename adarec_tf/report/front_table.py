"""The students of a front as a table of a run's last lines, and how to have one of them."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from adarec_tf.training_loop import SELECTION_METRIC


def front_table(front: Mapping[str, Any]) -> Table:
    """One row a student, from the content of `front.json`; the searched one has a star."""
    shown = Table(title=f"Front by {front['quantity']}", title_justify="left")
    shown.add_column("student")
    for name in ("NDCG@10, valid", "encoder MACs", "parameters", "served bytes", "latency"):
        shown.add_column(name, justify="right")
    searched = front["searched"]
    for number, student in enumerate(front["students"], start=1):
        shown.add_row(f"{number} *" if student == searched else f"{number}", *_cells(student))
    if searched not in front["students"]:
        shown.add_section()
        shown.add_row("*", *_cells(searched))
    return shown


def front_lines(path: str) -> list[str]:
    """What the table's figures are, and how another of its students is trained."""
    return [
        "* is the student found. Before training by itself: metrics are the supernet's, costs the "
        "search's.",
        f"For another of them, the same command with --set search.genotype={path}:1",
    ]


def _cells(student: Mapping[str, Any]) -> list[str]:
    costs = student["costs"]
    latency = f"{costs['latency_ms']:.2f} ms" if costs["latency_ms"] > 0 else "–"
    counts = (costs["macs"], costs["parameters"], costs["served_bytes"])
    return [f"{student[SELECTION_METRIC]:.4f}", *(f"{count:,}" for count in counts), latency]
