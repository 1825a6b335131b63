import copy
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adarec_tf.models.students.genotype import Edge, Genotype
from adarec_tf.report.summary import print_summary

_METRICS = {"hit_rate@10/full": 0.25, "ndcg@10/full": 0.125, "mrr@10/full": 0.0625}
_NO_COSTS = dict.fromkeys(
    (
        "parameters",
        "embedding_parameters",
        "encoder_macs",
        "bundle_bytes",
        "latency_p50_ms",
        "latency_p99_ms",
    )
)
_COSTS = {
    "parameters": 123456,
    "embedding_parameters": 100000,
    "encoder_macs": 7890,
    "bundle_bytes": 2_345_678,
    "latency_p50_ms": 0.512,
    "latency_p99_ms": 1.25,
}
RESULT: dict[str, Any] = {
    "scene": "tiny",
    "seed": 3,
    "protocol": {
        "split": "leave-one-out",
        "seen": "exclude",
        "num_users": 1234,
        "num_test_users": 1234,
        "num_items": 56,
        "num_interactions": 9999,
    },
    "models": {
        "popularity": {**_METRICS, **_NO_COSTS},
        "markov": {**_METRICS, **_NO_COSTS},
        "item_knn": {**_METRICS, **_NO_COSTS},
        "teacher": {**_METRICS, **_COSTS},
        "student": {**_METRICS, **_COSTS, "bundle_bytes": 999},
    },
    "intervals": {
        "popularity": {"ndcg@10/full": {"mean": 0.125, "low": 0.1, "high": 0.2}},
        "teacher": {"ndcg@10/full": {"mean": 0.125, "low": 0.11, "high": 0.14}},
        "student": {"ndcg@10/full": {"mean": 0.125, "low": 0.12, "high": 0.13}},
    },
    "student_against_teacher": {
        "ndcg@10/full": {"difference": 0.01, "low": -0.005, "high": 0.025, "p_value": 0.1872}
    },
    "genotype": {},
    "front": None,
    "blessed": True,
    "blessing_reasons": ["Fast enough.", "Accurate enough."],
    "pushed_version": 4,
    "removed": {"duplicate_interactions": 1500, "users_with_short_histories": 0},
    "paths": {
        "bundle": "/runs/a b/serving/student/4",
        "keras_model": "/runs/a b/model.keras",
        "front": None,
        "report": "/runs/a b/report.html",
    },
    "example_history": ["plain", "with, comma", "it's"],
}


def render(**changes: Any) -> str:
    import json

    genotype = Genotype(num_nodes=1, cells=((Edge(0, 1, "skip"),),))
    result = {**copy.deepcopy(RESULT), "genotype": json.loads(genotype.to_json()), **changes}
    drawn = io.StringIO()
    print_summary(
        result,
        workdir=Path("/runs/a b"),
        log_path=Path("/runs/a b/logs/1.log"),
        result_path=Path("/runs/a b/result.json"),
        command=".venv/bin/adarec",
        console=Console(file=drawn, force_terminal=False, width=140),
    )
    return drawn.getvalue()


def row(text: str, model: str) -> list[str]:
    [line] = [line for line in text.splitlines() if model in line.split() and "│" in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_table_has_a_row_a_model_in_readable_units() -> None:
    text = render()
    assert row(text, "teacher") == [
        *("teacher", "0.2500", "0.1250", "0.0625"),
        *("123,456", "100,000", "7,890", "2.3 MB", "0.51 ms", "1.25 ms"),
    ]
    assert row(text, "student")[7] == "999 bytes"
    for name in ("markov", "item_knn"):
        assert row(text, name)[4:] == ["–"] * 6


def test_the_headline_has_its_interval_and_the_students_distance_its_test() -> None:
    assert (
        "NDCG@10, 95% interval over users: teacher 0.1100 to 0.1400, student 0.1200 to 0.1300; "
        "student minus teacher +0.0100 (-0.0050 to +0.0250), paired p = 0.1872.\n"
    ) in render()


def test_the_protocol_and_what_was_removed_are_said() -> None:
    text = render()
    assert "Protocol: leave-one-out, test targets of 1,234 users, ranked" in text
    of_many = render(protocol={**RESULT["protocol"], "num_test_users": 5678})
    assert "test targets of 1,234 users drawn from 5,678, ranked" in of_many
    assert "Spans" not in render()
    spans = "2026-11-29 to 2026-11-30: 2 spans, 3 files"
    assert f"Spans of the log: {spans}." in render(spans=spans)
    split_in_time = render(protocol={**RESULT["protocol"], "split": "global-time"})
    assert "global time split, first items after the cut of 1,234 users, ranked" in split_in_time
    assert "full catalog of 56 items; items of the history are no candidates" in text
    assert "Removed from the log: duplicate interactions: 1,500." in text
    assert "stay candidates" in render(protocol={**RESULT["protocol"], "seen": "keep"})
    assert "Removed from the log: nothing." in render(removed={"duplicate_interactions": 0})


def test_what_a_run_started_from_is_said() -> None:
    start = {"run": "2026-11-29 02:00:00", "spans": "2026-11-28: 1 span, 3 files"}
    start |= {"student": "/runs/student", "num_new_items": 5}
    text = render(started_from=start)
    assert (
        "Started from the run of 2026-11-29 02:00:00 (spans 2026-11-28: 1 span, 3 files): teacher "
        "and student continue, with its genotype; 5 of 56 items are new."
    ) in text
    text = render(started_from={**start, "spans": "", "student": ""})
    assert "of 2026-11-29 02:00:00: the teacher continues, the student began anew; 5 of" in text
    for cold in (render(), render(started_from=None)):
        assert "Started" not in cold


def test_a_pushed_student_is_followed_by_commands_to_copy() -> None:
    text = render()
    assert "Blessed and pushed as version 4:\n  Fast enough.\n  Accurate enough.\n" in text
    assert "  .venv/bin/adarec serve --workdir '/runs/a b'\n" in text
    history = "'plain,\"with, comma\",it'\"'\"'s'"
    assert f"  .venv/bin/adarec recommend --history {history} --k 10\n" in text


def test_an_unblessed_student_says_why_and_is_not_offered() -> None:
    text = render(blessed=False, blessing_reasons=["Too slow."], pushed_version=None)
    assert "Not blessed and not pushed:\n  Too slow.\n" in text
    assert "adarec serve" not in text


def _front_student(metric: float, macs: int, latency_ms: float) -> dict[str, Any]:
    counts = {"parameters": 10 * macs, "macs": macs, "served_bytes": 40 * macs}
    costs = {**counts, "latency_ms": latency_ms}
    return {"genotype": {"cells": [[]]}, "ndcg@10/full": metric, "costs": costs}


def test_the_front_is_a_table_and_says_how_to_have_one_of_it() -> None:
    students = [_front_student(0.1, 1000, 0.5), _front_student(0.2, 2000, 0.0)]
    paths = {**RESULT["paths"], "front": "/r/front.json"}
    front = {"quantity": "macs", "students": students, "searched": students[1]}
    text = render(front=front, paths=paths)
    assert "Front by macs" in text
    assert row(text, "1") == ["1", "0.1000", "1,000", "10,000", "40,000", "0.50 ms"]
    assert row(text, "2") == ["2 *", "0.2000", "2,000", "20,000", "80,000", "–"]
    assert "the same command with --set search.genotype=/r/front.json:1\n" in text
    dominated = {**front, "searched": _front_student(0.15, 3000, 0.0)}
    assert row(render(front=dominated, paths=paths), "*")[1:3] == ["0.1500", "3,000"]
    assert "Front by" not in render()


def test_the_genotype_is_readable() -> None:
    assert "Student found:\n  cell 1\n    node 1 = skip(input)\n" in render()


@pytest.mark.parametrize("pushed_version", [4, None])
def test_the_last_lines_are_the_paths_of_result_and_report(pushed_version: int | None) -> None:
    lines = render(pushed_version=pushed_version).splitlines()
    assert lines[-2:] == ["/runs/a b/result.json", "/runs/a b/report.html"]


def test_a_report_that_could_not_be_made_is_told_and_loses_no_result() -> None:
    lines = render(paths={**RESULT["paths"], "report": None}).splitlines()
    assert lines[-2:] == [
        "/runs/a b/result.json",
        "The report could not be made; why is in /runs/a b/logs/1.log.",
    ]


def test_brackets_in_names_are_not_markup() -> None:
    assert "[red]x[/red],b" in render(example_history=["[red]x[/red]", "b"])
