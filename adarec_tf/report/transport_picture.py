"""A picture of a distillation: which student layer learned from which teacher layer, and when."""

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from adarec_tf.report.picture import SIZE, Picture, check_records

_MAX_HEATMAPS = 4
_MAX_HEATMAPS_WIDTH = 8.0  # inches; what does not fit beside goes below
_CELL = 0.42  # inches a side: room for a number
_FRAME = 1.0  # inches around a heatmap, for title and labels
# Told apart by the color-blind, and in grey; its ends are left out for lines on white and on black.
_COLORS = colormaps["viridis"]
_FIRST_LINE_COLOR, _LAST_LINE_COLOR = 0.4, 0.8
# Of numbers on the colors: no colors of the page, which change in the dark.
_DARK_INK, _LIGHT_INK = "#010101", "#fefefe"
_LINE_STYLES = ("-", "--", "-.", ":")


def transport_pictures(history: Sequence[Mapping[str, float]]) -> list[Picture]:
    """Draws transport plans at a few epochs, and the layers' masses over all of them.

    Args:
      history: one record an epoch with `plan[s,t]` (mean of the epoch), `student_mass[s]` and
        `teacher_mass[t]` for every student layer s and teacher layer t, counted from 1, all shares
        of 1. What else it holds is ignored.

    Raises:
      ValueError: there is no record, or one lacks a plan or a mass.
    """
    check_records(history, ())
    plans = [re.fullmatch(r"plan\[(\d+),(\d+)\]", name) for name in history[0]]
    if not any(plans):
        raise ValueError(
            "Epoch records should hold the transport plan as `plan[s,t]`, as those of a "
            f"distillation with hidden states do. Received: {', '.join(history[0]) or 'nothing'}."
        )
    num_student_layers, num_teacher_layers = (
        max(int(plan[side]) for plan in plans if plan) for side in (1, 2)
    )
    student, teacher = range(1, num_student_layers + 1), range(1, num_teacher_layers + 1)
    names = [[f"plan[{s},{t}]" for t in teacher] for s in student]
    sides = zip(("student", "teacher"), (student, teacher), strict=True)
    masses = [(side, [f"{side}_mass[{n}]" for n in layers]) for side, layers in sides]
    return [
        _plans_picture(_percent(history, names)),
        *(_masses_picture(_percent(history, columns), side) for side, columns in masses),
    ]


def _plans_picture(plans: np.ndarray) -> Picture:
    """Heatmaps of a few epochs: plans [epochs, student layers, teacher layers]."""
    num_epochs, num_student_layers, num_teacher_layers = plans.shape
    width, height = num_teacher_layers * _CELL + _FRAME, num_student_layers * _CELL + _FRAME
    # First, last, and some between.
    shown = np.unique(np.linspace(0, num_epochs - 1, _MAX_HEATMAPS).round().astype(int))
    num_rows, num_columns = _grid(len(shown), width)
    figure = Figure(figsize=(num_columns * width + 0.8, num_rows * height + 0.2))
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    image = _draw_plans(grid, plans, shown)
    # The bar leaves the heatmaps in the middle of their places.
    figure.colorbar(image, ax=grid, label="% of mass", panchor=False)
    s, t = np.unravel_index(plans[-1].argmax(), plans[-1].shape)
    return Picture(
        figure,
        "Transport plan",
        f"In epoch {num_epochs} most mass, {plans[-1].max():.0f}%, moves from student layer "
        f"{s + 1} to teacher layer {t + 1}.",
        "Mass moved between layers, mean of an epoch: where it is much, this teacher layer taught "
        "this student layer.",
    )


def _percent(history: Sequence[Mapping[str, float]], names: list) -> np.ndarray:
    """The named shares of every epoch: [epochs, *shape of names]."""
    named = np.array(names)
    check_records(history, named.ravel().tolist())
    values = [[record[name] for name in named.flat] for record in history]
    return 100 * np.array(values).reshape(len(history), *named.shape)


def _grid(num_heatmaps: int, width: float) -> tuple[int, int]:
    """Rows and columns: all beside one another, in two rows, or below one another."""
    for num_columns in (num_heatmaps, -(-num_heatmaps // 2)):
        if num_columns * width <= _MAX_HEATMAPS_WIDTH:
            return -(-num_heatmaps // num_columns), num_columns
    return num_heatmaps, 1


def _draw_plans(all_axes: np.ndarray, plans: np.ndarray, epochs: np.ndarray) -> AxesImage:
    highest = plans[epochs].max()
    for axes, epoch in zip(all_axes.flat, epochs, strict=False):
        image = _draw_plan(axes, plans[epoch], highest)
        axes.set_title(f"epoch {epoch + 1}")
    for axes in all_axes.flat[len(epochs) :]:
        axes.set_visible(False)
    return image


def _draw_plan(axes: Axes, plan: np.ndarray, highest: float) -> AxesImage:
    image = axes.imshow(plan, cmap=_COLORS, vmin=0.0, vmax=highest)
    num_student_layers, num_teacher_layers = plan.shape
    axes.grid(False)
    axes.set(xlabel="teacher layer", ylabel="student layer")
    axes.set_xticks(range(num_teacher_layers), range(1, num_teacher_layers + 1))
    axes.set_yticks(range(num_student_layers), range(1, num_student_layers + 1))
    for (student_layer, teacher_layer), share in np.ndenumerate(plan):
        text = f"{share:.0f}" if share >= 9.95 or share < 0.05 else f"{share:.1f}"
        color = _DARK_INK if share > 0.5 * highest else _LIGHT_INK
        axes.text(
            teacher_layer, student_layer, text, color=color, fontsize=8, ha="center", va="center"
        )
    return image


def _masses_picture(masses: np.ndarray, side: str) -> Picture:
    """Lines by epoch: masses [epochs, layers]."""
    num_epochs, num_layers = masses.shape
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    axes.set_prop_cycle(
        color=map(tuple, _COLORS(np.linspace(_FIRST_LINE_COLOR, _LAST_LINE_COLOR, num_layers))),
        linestyle=[*itertools.islice(itertools.cycle(_LINE_STYLES), num_layers)],
    )
    labels = [str(layer) for layer in range(1, num_layers + 1)]
    marker = "o" if num_epochs == 1 else None
    axes.plot(range(1, num_epochs + 1), masses, label=labels, marker=marker)
    axes.set(xlabel="epoch", ylabel="% of mass")
    axes.set(xlim=(0.5, num_epochs + 0.5), ylim=(0.0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(
        title=f"{side} layer",
        loc="outside lower center",
        ncols=min(num_layers, 6),
        handlelength=3.0,
    )
    last = ", ".join(f"layer {n}: {mass:.0f}%" for n, mass in enumerate(masses[-1], start=1))
    return Picture(figure, f"Mass of each {side} layer", f"In the last epoch {last}.")
