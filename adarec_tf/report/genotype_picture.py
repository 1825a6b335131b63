"""A picture of a student's architecture: the graph of every distinct cell."""

import math
import os

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path as Curve

from adarec_tf.models.students.genotype import Edge, Genotype
from adarec_tf.models.students.primitives import NONE, PRIMITIVES
from adarec_tf.report.picture_file import write_picture

# One unit of the drawing is one inch.
_GAP = 1.3  # between neighboring nodes: room for a label between them
_RADIUS = 0.24  # of a node
_RISE = 0.55  # of an edge above the nodes, for every node it passes over
_FALL = 0.24  # of an output edge below them, likewise
_SIDEWAYS = math.radians(45)  # from the vertical, where an edge over one node leaves its own
_MAX_COLUMNS = 2
_DEAD = "#c4c4c4"
_OUTPUT = "#8a8a8a"
_INK = "#222222"
_NODE_FILL = "#eef3f8"
# Okabe and Ito's palette, told apart by the color-blind: by dilation; 0 is without weights.
_COLORS = {0: "#5d4a7a", 1: "#0072b2", 2: "#d55e00", 4: "#009e73"}


def draw_genotype(genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws a genotype's cells, those that are alike once.

    Edges of `none` are left out. A node is grey where nothing flows into it, and so are the edges
    that start at it.

    Args:
      genotype: the architecture.
      path: of the PNG, which appears when it is complete; its folder is created.
    """
    cells = _distinct_cells(genotype)
    output = genotype.num_nodes + 1
    spans = [e.target - e.source for cell in cells for e in cell if e.primitive != NONE]
    heights = (-_FALL * output - _RADIUS, _RISE * max(spans, default=1) + _RADIUS)
    num_columns = min(len(cells), _MAX_COLUMNS)
    num_rows = -(-len(cells) // num_columns)
    size = (num_columns * (output + 1) * _GAP, num_rows * (heights[1] - heights[0] + 0.6) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False).flat
    for axes, (cell, numbers) in zip(grid, cells.items(), strict=False):
        axes.set(xlim=(-_GAP / 2, (output + 0.5) * _GAP), ylim=heights, aspect="equal")
        axes.set_title(_title(numbers), fontsize=10, fontweight="bold", color=_INK)
        _draw_cell(axes, cell, output)
    for axes in figure.axes:
        axes.set_axis_off()
    width = "" if genotype.hidden_dim is None else f"Width {genotype.hidden_dim}. "
    figure.supxlabel(
        f"{width}A node is the sum of its edges; out = in + ReLU(norm(weighted sum of the nodes)).",
        fontsize=8,
        color=_OUTPUT,
        wrap=True,
    )
    write_picture(figure, path)


def _distinct_cells(genotype: Genotype) -> dict[tuple[Edge, ...], list[int]]:
    """Each different cell, and the numbers of those that look like it, from 1."""
    numbers: dict[tuple[Edge, ...], list[int]] = {}
    for number, cell in enumerate(genotype.cells, start=1):
        numbers.setdefault(cell, []).append(number)
    return numbers


def _title(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"cell {numbers[0]}"
    are_neighbors = numbers == list(range(numbers[0], numbers[-1] + 1))
    named = f"{numbers[0]} to {numbers[-1]}" if are_neighbors else ", ".join(map(str, numbers))
    return f"cells {named}  (× {len(numbers)})"


def _draw_cell(axes: Axes, cell: tuple[Edge, ...], output: int) -> None:
    alive = _alive_nodes(cell)
    for node in range(output):
        if node in alive:
            _draw_output_edge(axes, node, output)
    for edge in cell:
        if edge.primitive != NONE:
            _draw_edge(axes, edge, edge.source in alive)
    for node in range(output + 1):
        name = {0: "in", output: "out"}.get(node, str(node))
        _draw_node(axes, node, name, node in alive or node == output)


def _alive_nodes(cell: tuple[Edge, ...]) -> set[int]:
    """The nodes that the input flows into, itself included; edges are in the order of targets."""
    alive = {0}
    for edge in cell:
        if edge.source in alive and edge.primitive != NONE:
            alive.add(edge.target)
    return alive


def _draw_node(axes: Axes, node: int, name: str, is_alive: bool) -> None:
    color = _INK if is_alive else _DEAD
    fill = _NODE_FILL if is_alive else "white"
    axes.add_patch(Circle((node * _GAP, 0), _RADIUS, ec=color, fc=fill, lw=1.3, zorder=3))
    axes.text(node * _GAP, 0, name, ha="center", va="center", fontsize=9, color=color, zorder=4)


def _draw_edge(axes: Axes, edge: Edge, is_alive: bool) -> None:
    """An operation: an arc over the nodes that it passes, with its name at the top."""
    primitive = PRIMITIVES[edge.primitive]
    color = _COLORS.get(primitive.dilation_rate, _INK) if is_alive else _DEAD
    span = edge.target - edge.source
    rise = 0.0 if span == 1 else _RISE * span
    _draw_arrow(axes, edge.source, edge.target, rise, color, "solid" if is_alive else "dotted", 1.5)
    axes.text(
        (edge.source + edge.target) / 2 * _GAP,
        rise,
        _label(edge.primitive),
        ha="center",
        va="center",
        fontsize=8,
        color=color,
        linespacing=1.15,
        bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"},
        zorder=2.5,
    )


def _draw_output_edge(axes: Axes, node: int, output: int) -> None:
    span = output - node
    fall = 0.0 if span == 1 else -_FALL * span
    _draw_arrow(axes, node, output, fall, _OUTPUT, "dashed", 0.9)


def _draw_arrow(
    axes: Axes, source: int, target: int, height: float, color: str, style: str, width: float
) -> None:
    """A straight arrow, or a curve whose top (bottom, if negative) is at `height`."""
    start, end = source * _GAP, target * _GAP
    if height == 0.0:
        curve = Curve([(start + _RADIUS, 0.0), (end - _RADIUS, 0.0)])
    else:
        # The farther an edge goes the steeper it starts, so that a node's edges part at once.
        angle = _SIDEWAYS / (target - source - 1)
        aside, side = _RADIUS * math.sin(angle), math.copysign(_RADIUS * math.cos(angle), height)
        # A quadratic curve's top is half way to its control point.
        control = ((start + end) / 2, 2 * height - side)
        curve = Curve(
            [(start + aside, side), control, (end - aside, side)],
            [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3],
        )
    axes.add_patch(
        FancyArrowPatch(
            path=curve,
            arrowstyle="-|>",
            mutation_scale=9,
            color=color,
            linestyle=style,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
            zorder=2,
        )
    )


def _label(primitive: str) -> str:
    """An operation's name in two lines, if it is long: `dilated_2` over `conv_3`."""
    parts = primitive.rsplit("_", 2)
    return f"{parts[0]}\n{parts[1]}_{parts[2]}" if len(parts) == 3 else primitive
