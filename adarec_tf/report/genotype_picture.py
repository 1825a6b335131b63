"""A picture of a student's architecture: the graph of every distinct cell."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from adarec_tf.models.students.genotype import Edge, Genotype
from adarec_tf.models.students.primitives import NONE, PRIMITIVES
from adarec_tf.report.picture import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PAPER,
    PURPLE,
    SHADE,
    Picture,
)

# One unit of the drawing is one inch.
_GAP = 1.3  # between neighboring nodes: room for a label between them
_RADIUS = 0.24  # of a node
_FALL = 0.24  # of an output edge below the nodes, for every node it passes over
_MAX_COLUMNS = 2
# Okabe and Ito's palette, told apart by the color-blind: by dilation; 0 is without weights.
_COLORS = {0: PURPLE, 1: BLUE, 2: ORANGE, 4: GREEN}

# The costs of an operation on one edge, by its name: `Cost` as a dictionary.
Costs = Mapping[str, Mapping[str, Any]]


def genotype_picture(genotype: Genotype, costs: Costs) -> Picture:
    """Draws a genotype's cells, those that are alike once.

    Edges of `none` are left out. A node is grey where nothing flows into it, and so are the edges
    that start at it.

    Args:
      genotype: the architecture.
      costs: of the operations, which are written on their edges; empty where they are not known.
    """
    cells: dict[tuple[Edge, ...], list[int]] = {}
    for number, cell in enumerate(genotype.cells, start=1):
        cells.setdefault(cell, []).append(number)
    output = genotype.num_nodes + 1
    rises = [_rise(edge) for cell in cells for edge in cell if edge.primitive != NONE]
    heights = (-_FALL * output - _RADIUS, max(rises, default=0.0) + 2 * _RADIUS)
    num_columns = min(len(cells), _MAX_COLUMNS)
    num_rows = -(-len(cells) // num_columns)
    size = (num_columns * (output + 1) * _GAP, num_rows * (heights[1] - heights[0] + 0.6))
    figure = Figure(figsize=size)
    grid = figure.subplots(num_rows, num_columns, squeeze=False).flat
    for axes, (cell, numbers) in zip(grid, cells.items(), strict=False):
        axes.set(xlim=(-_GAP / 2, (output + 0.5) * _GAP), ylim=heights, aspect="equal")
        axes.set_title(_title(numbers), fontsize=10, fontweight="bold", color=INK)
        _draw_cell(axes, cell, output, costs)
    for axes in figure.axes:
        axes.set_axis_off()
    width = "" if genotype.hidden_dim is None else f"Width {genotype.hidden_dim}. "
    shown = "latency" if has_latency(costs) else "multiply-adds"
    return Picture(
        figure,
        "The student",
        f"A graph of {len(genotype.cells)} cells: {'; '.join(genotype.describe().splitlines())}.",
        f"{width}A node is the sum of its edges; out = in + ReLU(norm(weighted sum of the nodes))."
        + (f" Below an operation: its {shown} on this edge." if costs else ""),
    )


def has_latency(costs: Costs) -> bool:
    """Whether the latency of operations was measured."""
    return any(cost["latency_ms"] > 0 for cost in costs.values())


def _title(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"cell {numbers[0]}"
    are_neighbors = numbers == list(range(numbers[0], numbers[-1] + 1))
    named = f"{numbers[0]} to {numbers[-1]}" if are_neighbors else ", ".join(map(str, numbers))
    return f"cells {named}  (× {len(numbers)})"


def _draw_cell(axes: Axes, cell: tuple[Edge, ...], output: int, costs: Costs) -> None:
    alive = _alive_nodes(cell)
    names = ["in", *map(str, range(1, output)), "out"]
    nodes = [
        _draw_node(axes, node, name, node in alive or node == output)
        for node, name in enumerate(names)
    ]
    for node in sorted(alive):
        fall = -_FALL * (output - node) if output - node > 1 else 0.0
        _draw_arrow(axes, nodes[node], nodes[output], fall, GREY, linestyle="dashed")
    for edge in cell:
        if edge.primitive != NONE:
            _draw_operation(axes, edge, nodes, edge.source in alive, costs)


def _alive_nodes(cell: tuple[Edge, ...]) -> set[int]:
    """The nodes that the input flows into, itself included; edges are in the order of targets."""
    alive = {0}
    for edge in cell:
        if edge.source in alive and edge.primitive != NONE:
            alive.add(edge.target)
    return alive


def _draw_node(axes: Axes, node: int, name: str, is_alive: bool) -> Circle:
    color, fill = (INK, SHADE) if is_alive else (PALE, PAPER)
    axes.text(node * _GAP, 0, name, ha="center", va="center", fontsize=9, color=color, zorder=4)
    return axes.add_patch(Circle((node * _GAP, 0), _RADIUS, ec=color, fc=fill, lw=1.3, zorder=3))


def _rise(edge: Edge) -> float:
    """How high an edge goes: the farther the steeper, so that a node's edges part at once."""
    span = edge.target - edge.source
    return (0.25 + 0.1 * span) * span if span > 1 else 0.0


def _draw_operation(
    axes: Axes, edge: Edge, nodes: list[Circle], is_alive: bool, costs: Costs
) -> None:
    """An arc over the nodes that an edge passes, with the operation's name at the top."""
    color = _COLORS.get(PRIMITIVES[edge.primitive].dilation_rate, INK) if is_alive else PALE
    style = "solid" if is_alive else "dotted"
    source, target = nodes[edge.source], nodes[edge.target]
    _draw_arrow(axes, source, target, _rise(edge), color, linestyle=style, linewidth=1.5)
    # In two lines, if it is long: `dilated_2` over `conv_3`.
    head, *tail = edge.primitive.rsplit("_", 2)
    name = f"{head}\n{'_'.join(tail)}" if len(tail) == 2 else edge.primitive
    axes.text(
        (edge.source + edge.target) / 2 * _GAP,
        _rise(edge),
        f"{name}{_cost_line(costs, edge.primitive)}",
        ha="center",
        va="center",
        fontsize=8,
        color=color,
        linespacing=1.15,
        bbox={"boxstyle": "square,pad=0.1", "fc": PAPER, "ec": "none"},
        zorder=2.5,
    )


def _cost_line(costs: Costs, primitive: str) -> str:
    """What an operation costs, as a line of its own; nothing where it costs nothing."""
    cost = costs.get(primitive, {})
    if has_latency(costs):
        return f"\n{1000 * cost['latency_ms']:.0f} µs"
    return f"\n{cost['macs'] / 1e6:.2f} M" if cost.get("macs") else ""


def _draw_arrow(
    axes: Axes, source: Circle, target: Circle, height: float, color: str, **style: object
) -> None:
    """An arrow whose top (bottom, if negative) is at `height`."""
    (start, _), (end, _) = source.center, target.center
    axes.add_patch(
        FancyArrowPatch(
            source.center,
            target.center,
            # A quadratic curve's top is half way to its control point.
            connectionstyle=f"arc3,rad={-2 * height / (end - start)}",
            patchA=source,
            patchB=target,
            arrowstyle="-|>",
            mutation_scale=9,
            color=color,
            shrinkA=0,
            shrinkB=0,
            zorder=2,
            **style,
        )
    )
