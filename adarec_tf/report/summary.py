"""What a run prints at its end: how the models compare, the student found, what to do next."""

import csv
import io
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rich.filesize
from rich.console import Console
from rich.table import Table

from adarec_tf.models.students.genotype import Genotype
from adarec_tf.report.console import print_lines, standard_output
from adarec_tf.report.front_table import front_lines, front_table

_METRICS = {"HR@10": "hit_rate@10/full", "NDCG@10": "ndcg@10/full", "MRR@10": "mrr@10/full"}
_COUNTS = {
    "parameters": "parameters",
    "of which embedding": "embedding_parameters",
    "encoder MACs": "encoder_macs",
}
_LATENCIES = {"p50": "latency_p50_ms", "p99": "latency_p99_ms"}


def print_summary(
    result: Mapping[str, Any],
    *,
    workdir: Path,
    log_path: Path,
    result_path: Path,
    command: str,
    console: Console | None = None,
) -> None:
    """Prints a finished run for people; the last line is the path of `result.json`.

    Args:
      result: the content of `result.json`.
      workdir: the run's folder.
      log_path: the run's log.
      result_path: where `result.json` is.
      command: what calls `adarec` here.
      console: where to; standard output if None.
    """
    console = console or standard_output()
    console.print()
    console.print(comparison_table(result))
    print_lines(
        console,
        _protocol_line(result),
        _interval_line(result),
        *_spans_lines(result),
        *_start_lines(result),
        _removed_line(result),
        "",
        *genotype_lines(result),
        "",
    )
    if result["front"] is not None:
        console.print(front_table(result["front"]))
        print_lines(console, *front_lines(result["paths"]["front"]), "")
    print_lines(
        console,
        *_release_lines(result),
        "",
        *_place_lines(result, workdir, log_path),
        "",
        *_next_lines(result, workdir, command),
        str(result_path),
    )


def comparison_table(result: Mapping[str, Any]) -> Table:
    """One row a model, from `result["models"]`."""
    table = Table(title=f"Scene {result['scene']}, seed {result['seed']}", title_justify="left")
    table.add_column("model")
    for name in (*_METRICS, *_COUNTS, "bundle", *_LATENCIES):
        table.add_column(name, justify="right")
    for name, row in result["models"].items():
        table.add_row(
            name,
            *(f"{row[key]:.4f}" for key in _METRICS.values()),
            *(_shown(row[key], "{:,}".format) for key in _COUNTS.values()),
            _shown(row["bundle_bytes"], rich.filesize.decimal),
            *(_shown(row[key], "{:.2f} ms".format) for key in _LATENCIES.values()),
        )
    return table


def _shown(value: Any, shape: Callable[[Any], str]) -> str:
    """A figure; a dash where a baseline has none."""
    return "–" if value is None else shape(value)


def genotype_lines(result: Mapping[str, Any]) -> list[str]:
    """The student's architecture in words."""
    genotype = Genotype.from_json(json.dumps(result["genotype"]))
    return ["Student found:", *(f"  {line}" for line in genotype.describe().splitlines())]


def _protocol_line(result: Mapping[str, Any]) -> str:
    protocol = result["protocol"]
    seen = {"exclude": "are no candidates", "keep": "stay candidates"}[protocol["seen"]]
    split = {
        "leave-one-out": "leave-one-out, test targets",
        "global-time": "global time split, first items after the cut",
    }[protocol["split"]]
    return (
        f"Protocol: {split} of {protocol['num_users']:,} users, ranked among "
        f"the full catalog of {protocol['num_items']:,} items; items of the history {seen}. "
        f"Latency: one request in process."
    )


def _interval_line(result: Mapping[str, Any]) -> str:
    intervals = {model: of_model["ndcg@10/full"] for model, of_model in result["intervals"].items()}
    shown = (f"{name} {_range(intervals[name])}" for name in ("teacher", "student"))
    test = result["student_against_teacher"]["ndcg@10/full"]
    return (
        f"NDCG@10, 95% interval over users: {', '.join(shown)}; student minus teacher "
        f"{test['difference']:+.4f} ({_range(test, '+')}), paired p = {test['p_value']:.4f}."
    )


_PICTURES = {
    "genotype_picture": "the student found",
    "search_picture": "how it was found",
    "front_picture": "what other budgets buy",
    "transport_picture": "which teacher layers taught which",
}


def _picture_lines(result: Mapping[str, Any]) -> list[str]:
    paths = {name: result["paths"][name] for name in _PICTURES}
    return [f"picture      {path} ({_PICTURES[name]})" for name, path in paths.items() if path]


def _range(interval: Mapping[str, float], sign: str = "") -> str:
    return f"{interval['low']:{sign}.4f} to {interval['high']:{sign}.4f}"


def _spans_lines(result: Mapping[str, Any]) -> list[str]:
    return [f"Spans of the log: {result['spans']}."] if result.get("spans") else []


def _start_lines(result: Mapping[str, Any]) -> list[str]:
    start = result.get("started_from")
    if not start:
        return []
    what = (
        "teacher and student continue, with its genotype"
        if start["student"]
        else "the teacher continues, the student began anew"
    )
    spans = f" (spans {start['spans']})" if start["spans"] else ""
    return [
        f"Started from the run of {start['run']}{spans}: {what}; "
        f"{start['num_new_items']:,} of {result['protocol']['num_items']:,} items are new."
    ]


def _removed_line(result: Mapping[str, Any]) -> str:
    removed = [
        f"{name.replace('_', ' ')}: {count:,}" for name, count in result["removed"].items() if count
    ]
    return f"Removed from the log: {'; '.join(removed) or 'nothing'}."


def _release_lines(result: Mapping[str, Any]) -> list[str]:
    version = result["pushed_version"]
    verdict = "Blessed" if result["blessed"] else "Not blessed"
    push = f"pushed as version {version}" if version is not None else "not pushed"
    return [f"{verdict} and {push}:", *(f"  {reason}" for reason in result["blessing_reasons"])]


def _place_lines(result: Mapping[str, Any], workdir: Path, log_path: Path) -> list[str]:
    return [
        f"workdir      {workdir}",
        f"bundle       {result['paths']['bundle']}",
        f"Keras model  {result['paths']['keras_model']}",
        *_picture_lines(result),
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
