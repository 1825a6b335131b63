"""The discrete architecture of a student: which operation stands on which edge of which cell.

It is found by a search, or read from a file in place of one: a genotype's, or a front's.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from adarec_tf.config.search import find_genotype, split_number
from adarec_tf.models.students.primitives import NONE, PRIMITIVES, SKIP

_FORMAT_VERSION = 1


class Edge(NamedTuple):
    """One operation of a cell.

    Attributes:
      source: the node it reads; 0 is the cell's input.
      target: the node it adds to; always later than `source`.
      primitive: a key of `PRIMITIVES`.
    """

    source: int
    target: int
    primitive: str


def edge_ends(num_nodes: int) -> list[tuple[int, int]]:
    """Every (source, target) of a cell: each node reads all earlier ones.

    Examples:
        >>> edge_ends(2)
        [(0, 1), (0, 2), (1, 2)]
    """
    return [(source, target) for target in range(1, num_nodes + 1) for source in range(target)]


@dataclass(frozen=True)
class Genotype:
    """A student's cells, bottom to top.

    Examples:
        >>> genotype = Genotype.from_primitives(2, [["conv_3", "skip", "max_pool_3"]])
        >>> [edge.primitive for edge in genotype.cells[0]]
        ['conv_3', 'skip', 'max_pool_3']
        >>> Genotype.from_json(genotype.to_json()) == genotype
        True

    Attributes:
      num_nodes: intermediate nodes of a cell.
      cells: for each cell its edges, in the order of `edge_ends(num_nodes)`.
      hidden_dim: the width it was found for; None where the width was not searched.
    """

    num_nodes: int
    cells: tuple[tuple[Edge, ...], ...]
    hidden_dim: int | None = None

    def __post_init__(self) -> None:
        sizes = {"num_nodes": self.num_nodes}
        if self.hidden_dim is not None:
            sizes["hidden_dim"] = self.hidden_dim
        for name, size in sizes.items():
            if type(size) is not int or size < 1:
                raise ValueError(
                    f"`{name}` should be a positive integer. Received: {name}={size!r}."
                )
        ends = edge_ends(self.num_nodes)
        if not self.cells:
            raise ValueError("A genotype should have at least one cell. Received: none.")
        for index, cell in enumerate(self.cells):
            received = [(edge.source, edge.target) for edge in cell]
            if received != ends:
                raise ValueError(
                    f"Cell {index} should have the edges {ends}. Received: {received}."
                )
            unknown = sorted({edge.primitive for edge in cell} - set(PRIMITIVES))
            if unknown:
                raise ValueError(
                    f"A primitive should be one of {', '.join(PRIMITIVES)}. Received: {unknown}."
                )

    @classmethod
    def from_primitives(
        cls, num_nodes: int, primitives_per_cell: Sequence[Sequence[str]]
    ) -> "Genotype":
        """Builds a genotype from the names of its operations.

        Args:
          num_nodes: intermediate nodes of a cell.
          primitives_per_cell: for each cell an operation an edge, in the order of `edge_ends`.

        Returns:
          A genotype of any width.

        Raises:
          ValueError: a cell has too few or too many, or one that is no primitive.
        """
        ends = edge_ends(num_nodes)
        for primitives in primitives_per_cell:
            if len(primitives) != len(ends):
                raise ValueError(
                    f"A cell of {num_nodes} nodes should have {len(ends)} operations. "
                    f"Received: {len(primitives)}."
                )
        cells = [
            tuple(Edge(*pair, name) for pair, name in zip(ends, primitives, strict=True))
            for primitives in primitives_per_cell
        ]
        return cls(num_nodes, tuple(cells))

    @property
    def is_degenerate(self) -> bool:
        """Whether no operation looks at more than one position, so order cannot matter."""
        names = {edge.primitive for cell in self.cells for edge in cell}
        return names <= {NONE, SKIP}

    @property
    def receptive_field(self) -> int:
        """How many of the last items of a history the state of the last one depends on.

        Their places count from the oldest item in view, and so from all of it.

        Examples:
            >>> cell = ["conv_3", "skip", "dilated_2_conv_3"]
            >>> Genotype.from_primitives(2, [cell, cell]).receptive_field
            13
        """
        return needed_by_cells(self.cells)[0][0]

    def without_dead_edges(self) -> "Genotype":
        """The same cells without edges that start at a node nothing flows into.

        Examples:
            >>> print(Genotype.from_primitives(2, [["none", "skip", "conv_3"]]).describe())
            cell 1
              node 1 = 0
              node 2 = skip(input) + conv_3(node 1)
            >>> genotype = Genotype.from_primitives(2, [["none", "skip", "conv_3"]])
            >>> print(genotype.without_dead_edges().describe())
            cell 1
              node 1 = 0
              node 2 = skip(input)
        """
        return dataclasses.replace(self, cells=tuple(map(_without_dead_edges, self.cells)))

    def to_dict(self) -> dict[str, Any]:
        """The genotype as plain JSON types."""
        width = {} if self.hidden_dim is None else {"hidden_dim": self.hidden_dim}
        return {
            "format_version": _FORMAT_VERSION,
            "num_nodes": self.num_nodes,
            **width,
            "cells": [[list(edge) for edge in cell] for cell in self.cells],
        }

    def to_json(self) -> str:
        """The genotype as readable JSON."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """Reads what `to_json` wrote.

        Raises:
          ValueError: the text is not a genotype of this version, or not a valid one.
        """
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Genotype":
        """Reads what `to_dict` returned.

        Args:
          values: as JSON has them.

        Returns:
          The genotype.

        Raises:
          ValueError: they are none of a genotype of this version.
        """
        keys = {"format_version", "num_nodes", "cells"}
        is_genotype = isinstance(values, dict) and set(values) - {"hidden_dim"} == keys
        if not is_genotype or values["format_version"] != _FORMAT_VERSION:
            raise ValueError(
                f"A genotype should have format_version {_FORMAT_VERSION}, num_nodes and cells. "
                f"Received: {json.dumps(values)[:200]}."
            )
        try:
            cells = tuple(tuple(Edge(*edge) for edge in cell) for cell in values["cells"])
        except TypeError as error:
            raise ValueError(
                "A genotype's cells should be lists of edges [source, target, primitive]. "
                f"Received: {json.dumps(values['cells'])[:200]}."
            ) from error
        return cls(values["num_nodes"], cells, values.get("hidden_dim"))

    def describe(self) -> str:
        """The architecture as text, a line a node; edges of `none` are left out."""
        lines = [f"width {self.hidden_dim}"] if self.hidden_dim is not None else []
        for index, cell in enumerate(self.cells):
            if index > 0 and cell == self.cells[0]:
                lines.append(f"cell {index + 1}: as cell 1, with its own weights")
                continue
            lines.append(f"cell {index + 1}")
            for node in range(1, self.num_nodes + 1):
                terms = [
                    f"{edge.primitive}({'input' if edge.source == 0 else f'node {edge.source}'})"
                    for edge in cell
                    if edge.target == node and edge.primitive != NONE
                ]
                lines.append(f"  node {node} = {' + '.join(terms) if terms else '0'}")
        return "\n".join(lines)


def read_genotype(given: str) -> Genotype:
    """Reads `FILE`, or a student of a front as `FILE:NUMBER`, counted from 1.

    Raises:
      ValueError: there is no such file, it holds no genotype, or no student of that number.
    """
    path, number = find_genotype(given)
    try:
        values = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"`search.genotype` should be a JSON file. Received: {given} ({error})."
        ) from error
    if isinstance(values, dict) and "students" in values:
        values = _student_of(values["students"], number, given)["genotype"]
    elif number:
        raise ValueError(
            f"`search.genotype` should have a number behind a front only. Received: {given}, which "
            "is none."
        )
    return Genotype.from_dict(values)


def _student_of(students: Sequence[Any], number: int, given: str) -> Any:
    if not 1 <= number <= len(students):
        raise ValueError(
            f"`search.genotype` should say which of the {len(students)} students of the front, as "
            f"in {split_number(given)[0]}:1. Received: {given}."
        )
    return students[number - 1]


def num_needed(cell: Sequence[Edge], receptive_field: int) -> list[int]:
    """How many of the latest positions of each node a cell needs, the input's first.

    Args:
      cell: its edges, in the order of `edge_ends`.
      receptive_field: positions wanted of its output.

    Examples:
        >>> cell = Genotype.from_primitives(2, [["conv_3", "skip", "dilated_2_conv_3"]]).cells[0]
        >>> num_needed(cell, 1)
        [7, 5, 1]
    """
    needed = [receptive_field] * (1 + max(edge.target for edge in cell))
    for edge in reversed(cell):  # a node's readers come first
        if edge.primitive != NONE:
            reach = PRIMITIVES[edge.primitive].reach
            needed[edge.source] = max(needed[edge.source], needed[edge.target] + reach)
    return needed


def needed_by_cells(cells: Sequence[Sequence[Edge]]) -> list[list[int]]:
    """As `num_needed` of each cell, where one position of the last cell's output is wanted."""
    needed, wanted = list[list[int]](), 1
    for cell in reversed(cells):
        needed.insert(0, num_needed(cell, wanted))
        wanted = needed[0][0]
    return needed


def node_reaches(cell: Sequence[Edge]) -> list[int]:
    """How many steps back each node of a cell is read, the input first.

    Examples:
        >>> cell = Genotype.from_primitives(2, [["conv_3", "skip", "dilated_2_conv_3"]]).cells[0]
        >>> node_reaches(cell)
        [2, 4, 0]
    """
    reaches = [0] * (1 + max(edge.target for edge in cell))
    for edge in cell:
        reaches[edge.source] = max(reaches[edge.source], PRIMITIVES[edge.primitive].reach)
    return reaches


def _without_dead_edges(cell: tuple[Edge, ...]) -> tuple[Edge, ...]:
    alive = {0}
    edges = []
    for edge in cell:  # in the order of targets, so that sources are known before they are read
        is_live = edge.source in alive and edge.primitive != NONE
        edges.append(edge if is_live else edge._replace(primitive=NONE))
        alive |= {edge.target} if is_live else set()
    return tuple(edges)
