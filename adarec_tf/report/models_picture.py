"""Pictures of a run's models: accuracy against latency and bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import rich.filesize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from adarec_tf.report.picture import BLUE, GREY, ORANGE, SIZE, Picture

METRIC = "ndcg@10/full"
_COLORS = {"teacher": ORANGE, "student": BLUE}
_LARGEST = 1600.0  # points²: the area of the larger bundle
_TALL = (SIZE[0], 3.6)  # inches
_HEIGHT = 190.0  # points, of the axes


def models_picture(metrics: Mapping[str, Any]) -> Picture:
    """Teacher and student where their latency and accuracy are, as large as their bundles.

    Args:
      metrics: the content of `metrics.json`.
    """
    models, intervals = metrics["models"], metrics["intervals"]
    served = {name: row for name, row in models.items() if row["latency_p50_ms"] is not None}
    figure = Figure(figsize=_TALL)
    axes = figure.subplots()
    latencies = [row["latency_p50_ms"] for row in served.values()]
    low, high = min(latencies) / 3, max(latencies) * 3
    for name, row in models.items():
        if name not in served:
            axes.axhline(row[METRIC], color=GREY, linestyle="dashed", linewidth=1)
            axes.annotate(
                _said(name), (high, row[METRIC]), (0, 2), **_WORDS, ha="right", color=GREY
            )
    highest = max(interval[METRIC]["high"] for interval in intervals.values())
    top = 1.3 * highest or 1.0  # room above for the largest disc and its words
    lines = [row[METRIC] for name, row in models.items() if name not in served]
    largest = max(row["bundle_bytes"] for row in served.values())
    for name, row in served.items():
        color, interval = _COLORS.get(name, GREY), intervals[name][METRIC]
        place = row["latency_p50_ms"], row[METRIC]
        area = _LARGEST * row["bundle_bytes"] / largest
        axes.scatter(*place, s=area, color=color, alpha=0.35, linewidth=0)
        errors = [[place[1] - interval["low"]], [interval["high"] - place[1]]]
        axes.errorbar(*place, yerr=errors, fmt="o", markersize=4, color=color, capsize=3)
        words = f"{name}\n{rich.filesize.decimal(row['bundle_bytes'])}"
        # To the side where the other one is not.
        offset, side = (-24, "right") if place[0] == min(latencies) else (24, "left")
        above = [(line - place[1]) / top * _HEIGHT for line in lines]
        axes.annotate(words, place, (offset, _free_of(above)), **_WORDS, ha=side, color=color)
    axes.set(xscale="log", xlim=(low, high), ylim=(0.0, top))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="median time of an answer, ms, in process", ylabel="NDCG@10 on test")
    return Picture(
        figure,
        "Accuracy, time and bytes",
        "; ".join(_words(name, row) for name, row in models.items()) + ".",
        "Discs have the area of the bundle, bars the 95% interval over users. Dashed: what is not "
        "served.",
    )


_WORDS: dict[str, Any] = {"textcoords": "offset points", "fontsize": "small", "va": "bottom"}


def _free_of(lines: Sequence[float]) -> float:
    """Where two rows of words are crossed by none of the lines: points above their model.

    Args:
      lines: points above the model.
    """
    places = (-8.0, -26.0, 5.0)
    free = (place for place in places if not any(place < line < place + 22 for line in lines))
    return next(free, places[0])


def _said(name: str) -> str:
    return name.replace("_", " ")


def _words(name: str, row: Mapping[str, Any]) -> str:
    words = f"{_said(name)}: NDCG@10 {row[METRIC]:.4f}"
    if row["latency_p50_ms"] is None:
        return words
    size = rich.filesize.decimal(row["bundle_bytes"])
    return f"{words}, {row['latency_p50_ms']:.2f} ms, {size}"
