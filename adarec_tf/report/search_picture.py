"""A picture of a search: how sure it became, how good its student was, and what it preferred."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.report.picture import BLUE, PALE, SHADE, SIZE, Picture, check_records
from adarec_tf.training.fit import SELECTION_METRIC

_TALL = (SIZE[0], 4.2)  # inches: the names of all operations are below
_ENTROPY = "entropy"
_ALPHAS = "alphas"
_DEPTHS = "depths"
_WIDTH = "hidden_dim"
_MOVED = "alphas_moved"
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


def search_pictures(trace: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Draws the search epoch by epoch: entropy, validation, depths, operations.

    Args:
      trace: the records of `search_trace.jsonl`, one an epoch: `entropy` as a share of the uniform
        choice's, `ndcg@10/full` of the likeliest student on validation, `alphas` [..., O], and
        `alphas_moved`, false in the warm-up. `depths`, how likely each number of cells is, is drawn
        where it is there. Where records have a `hidden_dim`, those of each width follow one another
        and the width that was chosen comes last: the others' lines are grey, and have no bars. What
        else they hold is ignored.

    Raises:
      ValueError: there is no record, or one lacks what is drawn.
    """
    check_records(trace, (_ENTROPY, SELECTION_METRIC, _ALPHAS, _MOVED))
    groups = itertools.groupby(trace, key=lambda record: record.get(_WIDTH))
    widths = [list(records) for _, records in groups]
    chosen = widths[-1]
    pictures = [
        _lines(
            widths, _ENTROPY, "How sure the search was", "Entropy of the choices: 1 is undecided."
        ),
        _lines(
            widths,
            SELECTION_METRIC,
            "How good its student was",
            "NDCG@10 of the likeliest student on validation, with the supernet's weights.",
        ),
    ]
    if _DEPTHS in chosen[0]:
        pictures.append(_depth_bars(chosen))
    return [*pictures, _operation_bars(chosen)]


def _lines(widths: Sequence[list], name: str, title: str, caption: str) -> Picture:
    """A quantity by epoch, of each width that was searched."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    for records in widths:
        values = [record[name] for record in records]
        color, label = (BLUE if records is widths[-1] else PALE), f"width {records[0].get(_WIDTH)}"
        epochs = range(1, len(records) + 1)
        axes.plot(epochs, values, color=color, marker="o", markersize=4, label=label)
    if name == _ENTROPY:
        axes.set_ylim(0.0, 1.05)
    if len(widths) > 1:
        axes.legend()
    _draw_epochs(axes, max(widths, key=len))
    alt = f"A line over {len(values)} epochs, from {values[0]:.4f} to {values[-1]:.4f}. {caption}"
    return Picture(figure, title, alt, caption)


def _depth_bars(chosen: Sequence[Mapping[str, Any]]) -> Picture:
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    last = chosen[-1][_DEPTHS]
    depths = [f"{cells} cells" if cells != "1" else "1 cell" for cells in last]
    colors = np.linspace(_SHALLOW_COLOR, _DEEP_COLOR, len(depths))
    _draw_bars(axes, [[*record[_DEPTHS].values()] for record in chosen], depths, colors)
    _draw_epochs(axes, chosen)
    alt = ", ".join(
        f"{name} {share:.0%}" for name, share in zip(depths, last.values(), strict=True)
    )
    return Picture(figure, "Probability of each depth", f"In the last epoch: {alt}.")


def _operation_bars(chosen: Sequence[Mapping[str, Any]]) -> Picture:
    figure = Figure(figsize=_TALL)
    axes = figure.subplots()
    shares = [_shares(record[_ALPHAS]) for record in chosen]
    _draw_bars(axes, shares, [*PRIMITIVES], itertools.cycle(_OPERATION_COLORS))
    _draw_epochs(axes, chosen)
    likeliest = sorted(zip(shares[-1], PRIMITIVES, strict=True), reverse=True)[:3]
    alt = ", ".join(f"{name} {share:.0%}" for share, name in likeliest)
    return Picture(
        figure,
        "Share of each operation",
        f"In the last epoch: {alt}, and others.",
        "The mean over all edges.",
    )


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
    axes.figure.legend(loc="outside lower center", ncols=min(len(names), 3))


def _draw_epochs(axes: Axes, trace: Sequence[Mapping[str, Any]]) -> None:
    """The axis of epochs, those before the alphas move on grey."""
    num_warmup = sum(not record[_MOVED] for record in trace)
    if num_warmup > 0:
        axes.axvspan(0.5, num_warmup + 0.5, color=SHADE, zorder=0)
    axes.set_xlim(0.5, len(trace) + 0.5)
    axes.set_xlabel("epoch (grey: weights only)" if num_warmup > 0 else "epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
