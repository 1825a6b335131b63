"""A picture of a front: what accuracy each budget buys."""

import os

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from adarec_tf.report.picture_file import write_picture
from adarec_tf.search.selection.pareto import Front

_SIZE = (7.0, 4.5)  # inches
_FRONT_COLOR = "#0072b2"
_SEARCHED_COLOR = "#d55e00"
_QUANTITY_NAMES = {
    "latency_ms": "predicted latency of one request, ms",
    "macs": "multiply-adds of the encoder",
    "served_bytes": "bytes of the served weights",
    "parameters": "parameters",
}


def draw_front(front: Front, path: str | os.PathLike[str]) -> None:
    """Draws the validation metric against the quantity, and where the searched student is.

    Args:
      front: the students, numbered as in the run's table.
      path: of the PNG, which appears when it is complete; its folder is created.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    amounts = [getattr(student.cost, front.quantity) for student in front.students]
    metrics = [student.metric for student in front.students]
    # Between two students the cheaper one is the best that there is.
    axes.step(amounts, metrics, where="post", color=_FRONT_COLOR, marker="o", label="front")
    for number, place in enumerate(zip(amounts, metrics, strict=True), start=1):
        axes.annotate(f"{number}", place, (5, -12), textcoords="offset points")
    axes.plot(
        [getattr(front.searched.cost, front.quantity)],
        [front.searched.metric],
        "o",
        markersize=12,
        fillstyle="none",
        color=_SEARCHED_COLOR,
        label="found by the search",
    )
    axes.set_xlabel(_QUANTITY_NAMES[front.quantity])
    axes.set_ylabel("NDCG@10 on validation, with the supernet's weights")
    if front.quantity != "latency_ms":
        axes.xaxis.set_major_formatter(EngFormatter())
    axes.margins(0.08)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    write_picture(figure, path)
