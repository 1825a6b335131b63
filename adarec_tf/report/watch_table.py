"""What `adarec watch` prints: the answer, why, and what was looked at."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from adarec_tf.report.console import standard_output

_ADVICE = {
    "fine": "Nothing has to be done.",
    "warm start": "Run again with --warm-start last.",
    "search again": "Run again with --warm-start last --search-again.",
}


def print_check(record: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints a check for people; the answer is the first line.

    Args:
      record: of `watch.jsonl`.
      console: where to; standard output if None.
    """
    console = console or standard_output()
    console.out(
        f"{record['answer'].capitalize()}: {record['num_events']:,} events after those that "
        f"version {record['version']} was trained on. {_ADVICE[record['answer']]}",
        *(f"- {reason}" for reason in record["reasons"]),
        sep="\n",
    )
    table = Table(title="What was looked at", title_justify="left")
    table.add_column("signal")
    for name in ("new events", "before", ""):
        table.add_column(name, justify="right")
    for signal in record["signals"]:
        values = (_figure(signal[name]) for name in ("value", "earlier"))
        table.add_row(signal["name"], *values, "beyond its limit" if signal["is_raised"] else "")
    console.print(table)
    for model in ("student", "markov"):
        now, earlier = record[model]["now"], record[model]["earlier"]
        when = "when it was blessed" if model == "student" else "on the events before"
        console.out(
            f"{model.capitalize()}: NDCG@10 {now['mean']:.4f} ({now['low']:.4f} to "
            f"{now['high']:.4f}) on new events, {earlier['mean']:.4f} {when}."
        )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
