"""Stored results are summaries, in a form that a diff shows well."""

import json
from pathlib import Path

import pytest

from adarec_tf.models.students import Genotype
from tests.benchmarks.stored_results import RESULTS, rounded, to_json

MAX_LINES = 9_500
STORED = sorted(RESULTS.glob("*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_a_stored_result_is_laid_out_as_new_ones_are(path: Path) -> None:
    text = path.read_text()
    assert text == to_json(rounded(json.loads(text))) + "\n"


def test_stored_results_are_figures_and_no_logs() -> None:
    assert sum(path.read_text().count("\n") for path in STORED) <= MAX_LINES
    for path in STORED:
        assert '"trace"' not in path.read_text(), path.name


@pytest.mark.parametrize("path", RESULTS.glob("genotype_*.json"), ids=lambda path: path.name)
def test_a_stored_genotype_can_be_trained(path: Path) -> None:
    assert Genotype.from_json(path.read_text()).cells


@pytest.mark.parametrize(
    "value",
    [
        {"seed": 1, "rows": []},
        {"name": "a" * 70, "values": [*range(50)], "of": {"x": 0.1, "y": None}},
        [{"genotype": [[0, 1, "conv_3"]] * 20, "ndcg@10/full": 0.25}, "é"],
    ],
)
def test_json_is_read_as_it_was_written(value: object) -> None:
    text = to_json(value)
    assert json.loads(text) == value
    assert all(len(line) <= 120 for line in text.splitlines())


def test_measurements_have_seven_digits_and_counts_have_all() -> None:
    measured = {"ndcg": [0.12345678, 1234567.8], "bytes": 3366826.0, "count": 1234567, "sd": None}
    assert rounded(measured) == {**measured, "ndcg": [0.1234568, 1234568.0]}


def test_what_is_short_shares_a_line_and_what_is_long_has_one() -> None:
    text = to_json({"a": 1, "b": 2, "c": "x" * 110, "d": 3, "e": 4})
    assert text.splitlines() == [
        "{",
        ' "a": 1, "b": 2,',
        f' "c": "{"x" * 110}",',
        ' "d": 3, "e": 4',
        "}",
    ]
