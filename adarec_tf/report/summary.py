"""What a run prints at its end: how the models compare, the student found, what to do next."""

import csv
import io
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import rich.filesize
from rich.console import Console
from rich.table import Table

from adarec_tf.models.students.genotype import Genotype
from adarec_tf.report.console import standard_output
from adarec_tf.report.front_table import front_lines, front_table

# The columns of the table, and the figures in them.
_METRICS = {"HR@10": "hit_rate@10/full", "NDCG@10": "ndcg@10/full", "MRR@10": "mrr@10/full"}
_COSTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "parameters": ("parameters", "{:,}".format),
    "of which embedding": ("embedding_parameters", "{:,}".format),
    "encoder MACs": ("encoder_macs", "{:,}".format),
    "bundle": ("bundle_bytes", rich.filesize.decimal),
    "p50": ("latency_p50_ms", "{:.2f} ms".format),
    "p99": ("latency_p99_ms", "{:.2f} ms".format),
}
_SPLITS = {
    "leave-one-out": "leave-one-out, test targets",
    "global-time": "global time split, first items after the cut",
}
_SEEN = {"exclude": "are no candidates", "keep": "stay candidates"}


def print_summary(
    result: Mapping[str, Any],
    *,
    workdir: Path,
    log_path: Path,
    result_path: Path,
    command: str,
    console: Console | None = None,
) -> None:
    """Prints a finished run for people; the last line is the path of the report, if there is one.

    Args:
      result: the content of `result.json`.
      workdir: the run's folder.
      log_path: the run's log.
      result_path: where `result.json` is.
      command: what calls `adarec` here.
      console: where to; standard output if None.
    """
    console = console or standard_output()
    genotype = Genotype.from_json(json.dumps(result["genotype"]))
    console.print()
    console.print(_comparison_table(result))
    console.out(*_data_lines(result), "", "Student found:", sep="\n")
    console.out(*(f"  {line}" for line in genotype.describe().splitlines()), "", sep="\n")
    if result["front"] is not None:
        console.print(front_table(result["front"]))
        console.out(*front_lines(result["paths"]["front"]), "", sep="\n")
    console.out(
        *_release_lines(result),
        "",
        *_place_lines(result["paths"], workdir, log_path),
        "",
        *_next_lines(result, workdir, command),
        str(result_path),
        *_report_lines(result["paths"]["report"], log_path),
        sep="\n",
    )


def _comparison_table(result: Mapping[str, Any]) -> Table:
    """One row a model; a dash where a baseline has no figure."""
    table = Table(title=f"Scene {result['scene']}, seed {result['seed']}", title_justify="left")
    table.add_column("model")
    for name in (*_METRICS, *_COSTS):
        table.add_column(name, justify="right")
    for name, row in result["models"].items():
        metrics = (f"{row[key]:.4f}" for key in _METRICS.values())
        costs = ("–" if row[key] is None else shape(row[key]) for key, shape in _COSTS.values())
        table.add_row(name, *metrics, *costs)
    return table


def _data_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """What the figures are of, and how sure they are."""
    protocol = result["protocol"]
    users = f"{protocol['num_users']:,} users"
    if protocol["num_users"] < protocol["num_test_users"]:
        users += f" drawn from {protocol['num_test_users']:,}"
    yield (
        f"Protocol: {_SPLITS[protocol['split']]} of {users}, ranked among "
        f"the full catalog of {protocol['num_items']:,} items; items of the history "
        f"{_SEEN[protocol['seen']]}. Latency: one request in process."
    )
    teacher, student = (
        _range(result["intervals"][name]["ndcg@10/full"]) for name in ("teacher", "student")
    )
    test = result["student_against_teacher"]["ndcg@10/full"]
    yield (
        f"NDCG@10, 95% interval over users: teacher {teacher}, student {student}; student minus "
        f"teacher {test['difference']:+.4f} ({_range(test, '+')}), paired p = "
        f"{test['p_value']:.4f}."
    )
    if result.get("spans"):
        yield f"Spans of the log: {result['spans']}."
    if start := result.get("started_from"):
        spans = f" (spans {start['spans']})" if start["spans"] else ""
        what = (
            "teacher and student continue, with its genotype"
            if start["student"]
            else "the teacher continues, the student began anew"
        )
        yield (
            f"Started from the run of {start['run']}{spans}: {what}; "
            f"{start['num_new_items']:,} of {protocol['num_items']:,} items are new."
        )
    removed = [
        f"{name.replace('_', ' ')}: {count:,}" for name, count in result["removed"].items() if count
    ]
    yield f"Removed from the log: {'; '.join(removed) or 'nothing'}."


def _range(interval: Mapping[str, float], sign: str = "") -> str:
    return f"{interval['low']:{sign}.4f} to {interval['high']:{sign}.4f}"


def _release_lines(result: Mapping[str, Any]) -> list[str]:
    version = result["pushed_version"]
    verdict = "Blessed" if result["blessed"] else "Not blessed"
    push = f"pushed as version {version}" if version is not None else "not pushed"
    return [f"{verdict} and {push}:", *(f"  {reason}" for reason in result["blessing_reasons"])]


def _place_lines(paths: Mapping[str, str | None], workdir: Path, log_path: Path) -> list[str]:
    return [
        f"workdir      {workdir}",
        f"bundle       {paths['bundle']}",
        f"Keras model  {paths['keras_model']}",
        f"log          {log_path}",
    ]


def _next_lines(result: Mapping[str, Any], workdir: Path, command: str) -> list[str]:
    if result["pushed_version"] is None:
        return ["Next: change what the reasons above name, e.g. with --set, and run again."]
    history = io.StringIO()  # as `adarec recommend` reads it
    csv.writer(history, lineterminator="").writerow(result["example_history"])
    return [
        "Next:",
        f"  {command} serve --workdir {shlex.quote(str(workdir))}",
        f"  {command} recommend --history {shlex.quote(history.getvalue())} --k 10",
        "",
    ]


def _report_lines(report: str | None, log_path: Path) -> list[str]:
    return [report or f"The report could not be made; why is in {log_path}."]
