"""The tables of the docs, made from the stored results.

A document says where a table belongs, and which results it has:

    <!-- table: teachers from teacher_*.json -->
    <!-- end -->

    python -m tests.benchmarks.tables

writes every table of the documents anew, between such lines. `tests/test_docs.py` compares them.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks import model_tables, run_tables, system_tables
from tests.benchmarks.stored_results import RESULTS, ROOT, Row, markdown

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
TABLE = re.compile(r"(<!-- table: (\w+) from (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def stored_files(pattern: str) -> list[Path]:
    """The stored results that a pattern names, by name."""
    return sorted(RESULTS.glob(pattern))


def table(name: str, pattern: str) -> str:
    """A table of all stored results that a pattern names.

    Args:
      name: a key of `TABLES`.
      pattern: of files in `results`.
    """
    files = stored_files(pattern)
    if not files:
        raise ValueError(f"The table {name} should have stored results. Received: no {pattern}.")
    return markdown(
        row for path in files for row in TABLES[name](path.stem, json.loads(path.read_text()))
    )


def with_tables(text: str) -> str:
    """A document with its tables as the stored results have them."""
    return TABLE.sub(lambda found: found[1] + table(found[2], found[3]) + found[5], text)


TABLES: dict[str, Callable[[str, dict[str, Any]], list[Row]]] = {
    function.__name__: function
    for function in (
        run_tables.scenes,
        run_tables.recipes,
        run_tables.repeats,
        run_tables.quickstart,
        run_tables.trials,
        run_tables.regrets,
        run_tables.random_trials,
        model_tables.attention_distances,
        model_tables.teachers,
        model_tables.distilled,
        model_tables.headline,
        model_tables.negatives,
        model_tables.few_epochs,
        model_tables.layer_terms,
        model_tables.bundles,
        model_tables.ranks,
        model_tables.searches,
        model_tables.genotypes,
        model_tables.search_throughput,
        model_tables.architectures,
        model_tables.transfer,
        model_tables.fronts,
        model_tables.supernet_ranks,
        model_tables.beyond_teacher,
        model_tables.predicted,
        system_tables.training_throughput,
        system_tables.large_catalog,
        system_tables.large_log,
        system_tables.evaluation_speed,
        system_tables.preprocessing,
        system_tables.table_speed,
        system_tables.beam_runners,
        system_tables.killed_worker,
        system_tables.giant_user,
        system_tables.serving_latency,
        system_tables.table_latency,
        system_tables.serving_load,
        system_tables.hot_swaps,
        system_tables.mutants,
        system_tables.watch,
    )
}


def main() -> None:
    """Writes the tables of all documents anew."""
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        if (written := with_tables(text)) != text:
            path.write_text(written, "utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
