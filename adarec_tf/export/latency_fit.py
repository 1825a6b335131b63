"""What each operation adds to the latency of a student: least squares over students timed whole.

A model of sums: a fixed part, a term for each cell, and one for each operation on an edge that is
not dead. Operations that differ only by dilation do the same work on other rows, so they share one
term.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import NONE, PRIMITIVES


class LatencyFit(NamedTuple):
    """The terms of the sum.

    Attributes:
      rest_ms: the fixed part, without cells.
      cell_ms: of a cell without operations; 0, and part of the rest, where all students have as
        many cells.
      operations_ms: of each primitive on one edge of one cell; 0 for `none`.
      errors: for each student (predicted - measured) / measured, predicted from the others alone.
    """

    rest_ms: float
    cell_ms: float
    operations_ms: dict[str, float]
    errors: tuple[float, ...]


def fit_latencies(genotypes: Sequence[Genotype], latencies_ms: np.ndarray) -> LatencyFit:
    """Fits the terms to measured students.

    Terms are not negative, and it is relative errors whose squares are least.

    Args:
      genotypes: K of them, of one shape but for the number of cells.
      latencies_ms: float [K], measured.

    Returns:
      The terms, and how well they predict.
    """
    kinds = sorted({_kind(name) for name in PRIMITIVES if name != NONE})
    counts = np.array([_count_terms(genotype, kinds) for genotype in genotypes], float)
    if np.ptp(counts[:, 1]) == 0:
        counts[:, 1] = 0.0
    relative = counts / latencies_ms[:, np.newaxis]
    terms, _ = nnls(relative, np.ones(len(genotypes)))
    errors = []
    for left_out, row in enumerate(relative):
        others = np.delete(relative, left_out, axis=0)
        errors.append(float(row @ nnls(others, np.ones(len(others)))[0]) - 1.0)
    by_kind = dict(zip(kinds, map(float, terms[2:]), strict=True))
    return LatencyFit(
        float(terms[0]),
        float(terms[1]),
        {name: by_kind.get(_kind(name), 0.0) for name in PRIMITIVES},
        tuple(errors),
    )


def _kind(name: str) -> str:
    num_taps = PRIMITIVES[name].kernel_size
    return f"convolution of {num_taps}" if num_taps else name


def _count_terms(genotype: Genotype, kinds: Sequence[str]) -> list[int]:
    """How often each term occurs: once the fixed part, then cells, then operations by kind."""
    cells = genotype.without_dead_edges().cells
    found = Counter(_kind(edge.primitive) for cell in cells for edge in cell)
    return [1, len(cells), *(found[kind] for kind in kinds)]
