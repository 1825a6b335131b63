"""A picture of a search: how sure it became, how good its student was, and what it preferred."""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.report.picture_file import check_records, write_picture
from adarec_tf.training.fit import SELECTION_METRIC

_SIZE = (10.0, 7.0)  # inches
_ENTROPY = "entropy"
_ALPHAS = "alphas"
_DEPTHS = "depths"
_WIDTH = "hidden_dim"
_MOVED = "alphas_moved"
_WARMUP_COLOR = "#eeeeee"
_LINE_COLOR = "#0072b2"
_OTHER_COLOR = "#b8b8b8"
_BAR_EDGES: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.5}
# The deepest is the darkest.
_SHALLOW_COLOR, _DEEP_COLOR = (0.80, 0.88, 0.94), (0.0, 0.28, 0.45)
# In the order of `PRIMITIVES`, of Okabe and Ito's palette: the convolutions in pairs, the larger
# kernel darker; then pools, and greys for `skip` and `none`. Taken in turns by what is added.
_OPERATION_COLORS = (
    "#7fb8d9",
    "#0072b2",
    "#eaae7f",
    "#d55e00",
    "#7fceb9",
    "#009e73",
    "#cc79a7",
    "#e8c3d7",
    "#8a8a8a",
    "#d9d9d9",
)


def draw_search(trace: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Draws the search epoch by epoch.

    Args:
      trace: the records of `search_trace.jsonl`, one an epoch: `entropy` as a share of the uniform
        choice's, `ndcg@10/full` of the likeliest student on validation, `alphas` [..., O], and
        `alphas_moved`, false in the warm-up. `depths`, how likely each number of cells is, is drawn
        where it is there. Where records have a `hidden_dim`, those of each width follow one another
        and the width that was chosen comes last: the others' lines are grey, and have no bars. What
        else they hold is ignored.
      path: of the PNG, which appears when it is complete; its folder is created.

    Raises:
      ValueError: there is no record, or one lacks what is drawn.
    """
    check_records(trace, (_ENTROPY, SELECTION_METRIC, _ALPHAS, _MOVED))
    figure = Figure(figsize=_SIZE, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.0, 1.25])
    groups = itertools.groupby(trace, key=lambda record: record.get(_WIDTH))
    *others, chosen = widths = [list(records) for _, records in groups]
    entropy_axes, metric_axes, *depth_axes = top.subplots(1, 3 if _DEPTHS in chosen[0] else 2)
    share_axes = bottom.subplots()
    for records in widths:
        epochs = range(1, len(records) + 1)
        color = _LINE_COLOR if records is chosen else _OTHER_COLOR
        label = f"width {records[0].get(_WIDTH)}"
        for axes, name in ((entropy_axes, _ENTROPY), (metric_axes, SELECTION_METRIC)):
            values = [record[name] for record in records]
            axes.plot(epochs, values, color=color, marker="o", markersize=4, label=label)
    entropy_axes.set_title("Entropy of the choices, 1 is undecided", fontsize="medium")
    entropy_axes.set_ylim(0.0, 1.05)
    metric_axes.set_title("Likeliest student, validation NDCG@10", fontsize="medium")
    if others:
        metric_axes.legend(fontsize="small")
    for axes in depth_axes:
        axes.set_title("Probability of each depth", fontsize="medium")
        depths = [f"{cells} cells" if cells != "1" else "1 cell" for cells in chosen[0][_DEPTHS]]
        colors = np.linspace(_SHALLOW_COLOR, _DEEP_COLOR, len(depths))
        _draw_bars(axes, [[*record[_DEPTHS].values()] for record in chosen], depths, colors)
    share_axes.set_title("Share of each operation, mean over edges", fontsize="medium")
    shares = [_shares(record[_ALPHAS]) for record in chosen]
    _draw_bars(share_axes, shares, [*PRIMITIVES], itertools.cycle(_OPERATION_COLORS))
    for axes in (entropy_axes, metric_axes, *depth_axes, share_axes):
        _draw_epochs(axes, max(widths, key=len))
    write_picture(figure, path)


def _shares(alphas: Sequence[Any]) -> np.ndarray:
    """[O]: the mean over edges of each operation's probability."""
    rows = np.asarray(alphas, np.float64).reshape(-1, len(PRIMITIVES))
    return scipy.special.softmax(rows, axis=-1).mean(axis=0)


def _draw_bars(
    axes: Axes, shares: Sequence[Any], names: Sequence[str], colors: Iterable[Any]
) -> None:
    """Bars that add up to 1, one an epoch: shares [epochs, names]."""
    heights = np.array(shares).T
    floors = np.cumsum(heights, axis=0) - heights
    for name, height, floor, color in zip(names, heights, floors, colors, strict=False):
        epochs = range(1, len(shares) + 1)
        axes.bar(epochs, height, bottom=floor, label=name, color=color, **_BAR_EDGES)
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    # The last drawn is on top.
    axes.legend(reverse=True, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _draw_epochs(axes: Axes, trace: Sequence[Mapping[str, Any]]) -> None:
    """The axis of epochs, those before the alphas move on grey."""
    num_warmup = sum(not record[_MOVED] for record in trace)
    if num_warmup > 0:
        axes.axvspan(0.5, num_warmup + 0.5, color=_WARMUP_COLOR, zorder=0)
    axes.set_xlim(0.5, len(trace) + 0.5)
    axes.set_xlabel("epoch (grey: weights only)" if num_warmup > 0 else "epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
