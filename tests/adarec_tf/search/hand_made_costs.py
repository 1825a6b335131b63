"""A cost table with figures that are easy to add up."""

from typing import Any

from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.cost_table import Cost, CostTable, StudentShape
from adarec_tf.models.students.primitives import NONE, PRIMITIVES, SKIP
from adarec_tf.search.space.search_space import SearchSpace, search_space

SHAPE = StudentShape(
    num_items=16,
    max_length=8,
    hidden_dim=4,
    num_cells=2,
    num_nodes=2,
    precision="float32",
)


def operation_cost(name: str) -> Cost:
    """A convolution of K taps: 10 K parameters, 100 K multiply-adds, K tenths of a millisecond."""
    taps = PRIMITIVES[name].kernel_size
    if taps:
        return Cost(10 * taps, 100 * taps, 40 * taps, 0.1 * taps, 1.0 * taps)
    latency_ms = {NONE: 0.0, SKIP: 0.01}.get(name, 0.1)
    return Cost(0, 0, 0, latency_ms, 10 * latency_ms)


def cost_table(**changes: Any) -> CostTable:
    """A table of `SHAPE`, with the fields given."""
    fields: dict[str, Any] = {
        "shape": SHAPE,
        "operations": {name: operation_cost(name) for name in PRIMITIVES},
        "cell": Cost(6, 0, 24, 0.05, 0.2),
        "rest": Cost(100, 0, 400, 1.0, 5.0),
        "teacher": Cost(1000, 10_000, 4000, 4.0, 50.0),
        "teacher_encoder": Cost(200, 10_000, 800, 2.0),
        "latency_errors": (0.02, -0.03),
        "machine": {"cpu": "hand", "cores": 1, "tensorflow": "none"},
    }
    return CostTable(**{**fields, **changes})


STUDENT = StudentConfig(hidden_dim=4, num_cells=2, num_nodes=2)  # of `SHAPE`


def space(**settings: Any) -> SearchSpace:
    """Its students, with these settings of the search."""
    return search_space(cost_table(), STUDENT, SearchConfig(**settings))


COUNTED = cost_table(
    operations={
        name: part._replace(latency_ms=0.0) for name, part in cost_table().operations.items()
    },
    rest=Cost(100, 0, 400),
    latency_errors=(),
)
