"""A picture of a search: how sure it became, how good its student was, and what it preferred."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from adarec_tf.report.picture_file import write_picture
from adarec_tf.students.primitives import PRIMITIVES
from adarec_tf.training_loop import SELECTION_METRIC

_SIZE = (10.0, 7.0)  # inches
_ENTROPY = "entropy"
_ALPHAS = "alphas"
_MOVED = "alphas_moved"
_WARMUP_COLOR = "#eeeeee"
_LINE_COLOR = "#0072b2"
# In the order of `PRIMITIVES`, of Okabe and Ito's palette: the convolutions in pairs, the larger
# kernel darker; then pools, and greys for `skip` and `none`. Taken in turns by what is added.
_OPERATION_COLORS = (
    *("#7fb8d9", "#0072b2", "#eaae7f", "#d55e00", "#7fceb9", "#009e73"),
    *("#cc79a7", "#e8c3d7", "#8a8a8a", "#d9d9d9"),
)


def draw_search(trace: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Draws the search epoch by epoch.

    Args:
      trace: the records of `search_trace.jsonl`, one an epoch: `entropy` as a share of the uniform
        choice's, `ndcg@10/full` of the likeliest student on validation, `alphas` [..., O], and
        `alphas_moved`, false in the warm-up. What else they hold is ignored.
      path: of the PNG, which appears when it is complete; its folder is created.

    Raises:
      ValueError: there is no record, or one lacks what is drawn.
    """
    _check(trace)
    figure = Figure(figsize=_SIZE, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.0, 1.25])
    entropy_axes, metric_axes = top.subplots(1, 2)
    share_axes = bottom.subplots()
    _draw_line(entropy_axes, trace, _ENTROPY, "Entropy of the choices, 1 is undecided")
    entropy_axes.set_ylim(0.0, 1.05)
    _draw_line(metric_axes, trace, SELECTION_METRIC, "Likeliest student, validation NDCG@10")
    _draw_shares(share_axes, np.array([_shares(record[_ALPHAS]) for record in trace]))
    for axes in (entropy_axes, metric_axes, share_axes):
        _draw_epochs(axes, trace)
    write_picture(figure, path)


def _check(trace: Sequence[Mapping[str, Any]]) -> None:
    if not trace:
        raise ValueError("A picture needs at least one epoch record. Received: none.")
    for epoch, record in enumerate(trace, start=1):
        missing = {_ENTROPY, SELECTION_METRIC, _ALPHAS, _MOVED} - set(record)
        if missing:
            raise ValueError(
                f"Every record of a search should hold {_ENTROPY}, {SELECTION_METRIC}, {_ALPHAS} "
                f"and {_MOVED}. Received: no {', '.join(sorted(missing))} in epoch {epoch}."
            )


def _shares(alphas: Sequence[Any]) -> np.ndarray:
    """[O]: the mean over edges of each operation's probability."""
    logits = np.asarray(alphas, np.float64).reshape(-1, len(PRIMITIVES))
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).mean(axis=0)


def _draw_line(axes: Axes, trace: Sequence[Mapping[str, Any]], name: str, title: str) -> None:
    values = [record[name] for record in trace]
    axes.plot(range(1, len(trace) + 1), values, color=_LINE_COLOR, marker="o", markersize=4)
    axes.set_title(title, fontsize="medium")


def _draw_shares(axes: Axes, shares: np.ndarray) -> None:
    """Bars that add up to 1, one an epoch: shares [epochs, O]."""
    epochs = np.arange(1, len(shares) + 1)
    floor = np.zeros(len(shares))
    for index, name in enumerate(PRIMITIVES):
        color = _OPERATION_COLORS[index % len(_OPERATION_COLORS)]
        axes.bar(
            *(epochs, shares[:, index], 0.8, floor),
            color=color,
            label=name,
            edgecolor="white",
            linewidth=0.5,
        )
        floor += shares[:, index]
    axes.set_title("Share of each operation, mean over edges", fontsize="medium")
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    # The last drawn is on top.
    axes.legend(
        *(side[::-1] for side in axes.get_legend_handles_labels()),
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize="small",
    )


def _draw_epochs(axes: Axes, trace: Sequence[Mapping[str, Any]]) -> None:
    """The axis of epochs, those before the alphas move on grey."""
    num_warmup = sum(not record[_MOVED] for record in trace)
    if num_warmup > 0:
        axes.axvspan(0.5, num_warmup + 0.5, color=_WARMUP_COLOR, zorder=0)
    axes.set_xlim(0.5, len(trace) + 0.5)
    axes.set_xlabel("epoch (grey: weights only)" if num_warmup > 0 else "epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
