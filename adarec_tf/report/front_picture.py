"""A picture of a front: what accuracy each budget buys."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from adarec_tf.report.picture import BLUE, ORANGE, SIZE, Picture
from adarec_tf.training.fit import SELECTION_METRIC

_QUANTITY_NAMES = {
    "latency_ms": "predicted latency of one request, ms",
    "macs": "multiply-adds of the encoder",
    "served_bytes": "bytes of the served weights",
    "parameters": "parameters",
}


def front_picture(front: Mapping[str, Any]) -> Picture:
    """The validation metric against the quantity, and where the searched student is.

    Args:
      front: the content of `front.json`; its students are numbered as in the run's table.
    """
    quantity = front["quantity"]
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    amounts = [student["costs"][quantity] for student in front["students"]]
    metrics = [student[SELECTION_METRIC] for student in front["students"]]
    # Between two students the cheaper one is the best that there is.
    axes.step(amounts, metrics, where="post", color=BLUE, marker="o", label="front")
    for number, place in enumerate(zip(amounts, metrics, strict=True), start=1):
        axes.annotate(f"{number}", place, (5, -12), textcoords="offset points")
    axes.plot(
        [front["searched"]["costs"][quantity]],
        [front["searched"][SELECTION_METRIC]],
        "o",
        markersize=12,
        fillstyle="none",
        color=ORANGE,
        label="found by the search",
    )
    axes.set_xlabel(_QUANTITY_NAMES[quantity])
    axes.set_ylabel("NDCG@10 on validation")
    if quantity != "latency_ms":
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.margins(0.08)
    axes.legend(loc="lower right")
    return Picture(
        figure,
        "What other budgets buy",
        f"{len(amounts)} students, from NDCG@10 {metrics[0]:.4f} at {amounts[0]:,} to "
        f"{metrics[-1]:.4f} at {amounts[-1]:,} ({_QUANTITY_NAMES[quantity]}).",
        "Accuracies are the supernet's, before a student is trained by itself. Any of them is "
        "trained with --set search.genotype=FRONT.json:NUMBER.",
    )
