"""What the students of a search cost: the table that `adarec profile` writes and the search reads.

A student's cost is a sum: what every student of one shape has, and what stands on its edges.
Parameters, multiply-adds and bytes are counted, and add up exactly. Latency is measured, in the
form that is served, and adds up nearly; the table says how nearly.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import PositiveInt

from adarec_tf.config.base import Config
from adarec_tf.config.search import find_cost_table
from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import PRIMITIVES

_FORMAT_VERSION = 3
# Histories in the larger of the two requests that are timed.
SERVED_BATCH = 32


class Cost(NamedTuple):
    """What a model, or a part of one, costs.

    Attributes:
      parameters: floats it is trained with.
      macs: multiply-adds of encoding one history of `max_length` items; scoring is left out.
      served_bytes: weights as a bundle keeps them.
      latency_ms: of a request with one history of `max_length` items, ten items asked for; in
        process, where no other one hinders it. 0 where latency was not measured.
      batch_latency_ms: of a request with `SERVED_BATCH` such histories.
    """

    parameters: int
    macs: int
    served_bytes: int
    latency_ms: float = 0.0
    batch_latency_ms: float = 0.0


class StudentShape(Config):
    """All that the cost of a student depends on besides its genotype and the machine."""

    num_items: PositiveInt
    max_length: PositiveInt
    hidden_dim: PositiveInt
    num_cells: PositiveInt
    num_nodes: PositiveInt
    precision: str

    @classmethod
    def of(cls, student: StudentConfig, num_items: int, max_length: int) -> "StudentShape":
        """The shape of a student's config in a scene.

        Args:
          student: the config.
          num_items: items of the catalog.
          max_length: items of a history.
        """
        return cls(
            num_items=num_items,
            max_length=max_length,
            hidden_dim=student.hidden_dim,
            num_cells=student.num_cells,
            num_nodes=student.num_nodes,
            precision=student.precision,
        )


@dataclass(frozen=True, kw_only=True)
class CostTable:
    """The costs of all students of one shape, and those of the teacher.

    Attributes:
      shape: what the students have in common.
      operations: of each primitive on one edge of one cell; `none` costs nothing.
      cell: of a cell without operations; its latency is 0 where the shape has one cell alone.
      rest: of a student without any operation: look-up, embedding, cells, scores, best items.
      teacher: of the teacher, as a whole.
      teacher_encoder: of the teacher without its tables and without scoring.
      latency_errors: relative errors of the latencies predicted for students that were measured,
        each from the others; empty where latency was not measured.
      machine: where latency was measured, and on how many threads.
    """

    shape: StudentShape
    operations: Mapping[str, Cost]
    cell: Cost
    rest: Cost
    teacher: Cost
    teacher_encoder: Cost
    latency_errors: tuple[float, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.operations) != set(PRIMITIVES):
            raise ValueError(
                f"A cost table should hold the operations {', '.join(PRIMITIVES)}. Received: "
                f"{', '.join(self.operations)}; measure it again with `adarec profile`."
            )

    @property
    def has_latency(self) -> bool:
        """Whether latency was measured."""
        return self.rest.latency_ms > 0

    def cost_of(self, genotype: Genotype) -> Cost:
        """The predicted cost of a student of this shape, or of one with fewer cells."""
        cells = genotype.without_dead_edges().cells
        num_absent = self.shape.num_cells - len(cells)
        rest = [whole - num_absent * cell for whole, cell in zip(self.rest, self.cell, strict=True)]
        parts = [self.operations[edge.primitive] for cell in cells for edge in cell]
        return Cost(*(sum(values) for values in zip(rest, *parts, strict=True)))

    def check_fits(self, counted: "CostTable") -> None:
        """Checks that the table was made for this search.

        Args:
          counted: what `count_costs` gives for its shape and teacher.

        Raises:
          ValueError: it was made for another shape or another teacher.
        """
        self.check_shape(counted.shape)
        if self.teacher[:3] != counted.teacher[:3]:
            raise ValueError(
                "`search.cost_table` should be of the teacher of this search, with "
                f"{_counts(counted.teacher)}. Received: a table of one with "
                f"{_counts(self.teacher)}; measure it again with `adarec profile`."
            )

    def check_shape(self, shape: StudentShape) -> None:
        """Checks that the table is of students of this shape.

        Raises:
          ValueError: it was made for another shape.
        """
        ours, asked = self.shape.to_dict(), shape.to_dict()
        others = {name: value for name, value in ours.items() if value != asked[name]}
        if others:
            raise ValueError(
                f"A cost table should be of {_listed({n: asked[n] for n in others})}. "
                f"Received: a table of {_listed(others)}; measure it again with `adarec profile`."
            )

    def to_json(self) -> str:
        """The table as readable JSON."""
        values = {
            "format_version": _FORMAT_VERSION,
            "shape": self.shape.to_dict(),
            "operations": {name: cost._asdict() for name, cost in self.operations.items()},
            **{name: getattr(self, name)._asdict() for name in _WHOLE_COSTS},
            "latency_errors": list(self.latency_errors),
            "machine": dict(self.machine),
        }
        return json.dumps(values, indent=2) + "\n"

    def write(self, path: str) -> None:
        """Writes the table to a file, which is never there in parts."""
        unfinished = Path(f"{path}.part")
        unfinished.write_text(self.to_json())
        unfinished.replace(path)

    @classmethod
    def from_json(cls, text: str) -> "CostTable":
        """Reads what `to_json` wrote.

        Raises:
          ValueError: the text is not a table of this version.
        """
        try:
            values = json.loads(text)
            if values["format_version"] != _FORMAT_VERSION:
                raise KeyError(f"format_version {values['format_version']}")
            return cls(
                shape=StudentShape.from_dict(values["shape"]),
                operations={name: Cost(**cost) for name, cost in values["operations"].items()},
                **{name: Cost(**values[name]) for name in _WHOLE_COSTS},
                latency_errors=tuple(values["latency_errors"]),
                machine=values["machine"],
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(
                "A cost table should be what `adarec profile` writes, in version "
                f"{_FORMAT_VERSION}. Received: {text[:80]!r} ({error}); measure it again."
            ) from error


def read_cost_table(path: str) -> CostTable:
    """Reads a table that `adarec profile` wrote.

    Raises:
      ValueError: there is no such file, or it is not a table of this version.
    """
    return CostTable.from_json(find_cost_table(path).read_text())


_WHOLE_COSTS = ("cell", "rest", "teacher", "teacher_encoder")


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _counts(cost: Cost) -> str:
    return f"{cost.parameters:,} parameters and {cost.macs:,} multiply-adds"
