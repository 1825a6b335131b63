"""What `adarec profile` prints: the costs of the operations, and of whole models."""

import numpy as np
from rich.console import Console
from rich.table import Table

from adarec_tf.models.students.cost_table import SERVED_BATCH, Cost, CostTable
from adarec_tf.report.console import standard_output


def print_costs(table: CostTable, console: Console | None = None) -> None:
    """Prints a table with latencies for people.

    Args:
      table: what was measured.
      console: where to; standard output if None.
    """
    console = console or standard_output()
    shown = Table(title="Cost of an operation on one edge of one cell", title_justify="left")
    shown.add_column("")
    for name in ("parameters", "MACs", "bytes", "1 history", f"{SERVED_BATCH} histories"):
        shown.add_column(name, justify="right")
    for name, cost in table.operations.items():
        shown.add_row(name, *_cells(cost))
    shown.add_section()
    shown.add_row("student without operations", *_cells(table.rest))
    shown.add_row("teacher", *_cells(table.teacher))
    console.print(shown)
    shape, errors = table.shape, np.abs(table.latency_errors)
    console.out(
        f"Students: {shape.num_cells} cells of {shape.num_nodes} nodes, hidden_dim "
        f"{shape.hidden_dim}, {shape.precision} table of {shape.num_items:,} items, "
        f"histories of {shape.max_length} items.",
        "Machine: {cpu}, {cores} cores, TensorFlow {tensorflow}.".format(**table.machine),
        f"Latency of a student from that of {len(errors) - 1} others: off by "
        f"{np.median(errors):.1%} at the median, {errors.max():.1%} at most. "
        "Much more than 5% and 15% tell of a busy machine: measure again.",
        sep="\n",
    )


def _cells(cost: Cost) -> list[str]:
    counts = (cost.parameters, cost.macs, cost.served_bytes)
    latencies_ms = (cost.latency_ms, cost.batch_latency_ms)
    return [*(f"{count:,}" for count in counts), *(f"{value:.4f} ms" for value in latencies_ms)]
