"""Daily folders as the driver and the executor see them, and as TFX itself would."""

import os
from pathlib import Path
from typing import Any

import pytest
from tfx.components.example_gen import utils
from tfx.proto import example_gen_pb2

from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.log.readers import InteractionColumns
from adarec_tf.data.log.spans import SpanPattern, choose_spans
from components.input_spans import SpansDriver, input_files
from components.interactions_gen import interactions_gen
from tests.components.test_interactions_gen import HEADER, read_examples, run_executor

DAYS = ("2026-11-29", "2026-11-30", "2026-12-01")


@pytest.fixture
def pattern(tmp_path: Path) -> str:
    for number, day in enumerate(DAYS):
        (tmp_path / "logs" / day).mkdir(parents=True)
        row = f"u,item-{number},{number}\n"
        (tmp_path / "logs" / day / "log.csv").write_text(HEADER + row)
    return f"{tmp_path}/logs/{{YYYY}}-{{MM}}-{{DD}}/*"


def properties_of(path: str, **config: Any) -> dict[str, Any]:
    component = interactions_gen(path, InteractionColumns(), "code", SpansConfig(**config))
    return dict(component.spec.exec_properties)


def driven(path: str, **config: Any) -> dict[str, Any]:
    properties = properties_of(path, **config)
    return SpansDriver(None).resolve_exec_properties(properties, None, None)


@pytest.mark.parametrize("resolve", [driven, properties_of])
def test_the_executor_reads_the_same_with_a_driver_and_without(resolve: Any, pattern: str) -> None:
    files, spans = input_files(resolve(pattern, window=2))
    assert [Path(file).parent.name for file in files] == list(DAYS[1:])
    assert spans == "2026-11-30 to 2026-12-01: 2 spans, 2 files"


def test_the_executor_reads_what_the_driver_has_seen(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "logs" / DAYS[1] / "log.csv").unlink()
    properties = driven(pattern, missing="skip")
    before = input_files(properties)
    (tmp_path / "logs" / DAYS[2] / "late.csv").write_text(HEADER)
    assert input_files(properties) == before
    assert before[1].endswith("; nothing for 2026-11-30")
    assert len(before[0]) == 2


def test_examples_are_those_of_all_days_and_say_which(pattern: str, tmp_path: Path) -> None:
    examples = run_executor(interactions_gen(pattern), tmp_path)
    rows = sorted(read_examples(examples), key=lambda row: row[3])
    assert [row[1] for row in rows] == ["item-0", "item-1", "item-2"]
    assert examples.get_string_custom_property("spans").startswith("2026-11-29 to 2026-12-01")


def test_the_fingerprint_changes_with_the_choice_and_with_the_files(
    pattern: str, tmp_path: Path
) -> None:
    def fingerprint(**config: Any) -> str:
        return driven(pattern, **config)[utils.FINGERPRINT_PROPERTY_NAME]

    first = fingerprint()
    assert fingerprint() == first
    file = tmp_path / "logs" / DAYS[0] / "log.csv"
    seen = {first, fingerprint(window=2), fingerprint(last=DAYS[1])}
    file.write_text(file.read_text() + "u,more,1\n")
    seen.add(fingerprint())
    (tmp_path / "logs" / DAYS[0] / "more.csv").write_text(HEADER)
    seen.add(fingerprint())
    assert len(seen) == 5


def test_the_same_choice_however_it_is_asked_for_has_one_fingerprint(pattern: str) -> None:
    newest, named = driven(pattern), driven(pattern, last=DAYS[2])
    assert newest[utils.FINGERPRINT_PROPERTY_NAME] == named[utils.FINGERPRINT_PROPERTY_NAME]


def test_a_log_without_spans_is_left_to_the_stock_driver(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER)
    properties = driven(str(log))
    assert properties["span"] == 0
    assert properties[utils.FINGERPRINT_PROPERTY_NAME].startswith("split:all,num_files:1")
    (tmp_path / "other.csv").write_text(HEADER)
    assert input_files(properties) == ([str(log)], "")


@pytest.mark.parametrize(
    "name",
    ["{YYYY}{MM}{DD}/*", "{YYYY}/{MM}-{DD}/v{VERSION}/*", "{SPAN:3}/*", "d{SPAN}/{VERSION:2}"],
)
def test_patterns_mean_what_they_mean_to_tfx(name: str, tmp_path: Path) -> None:
    pattern = SpanPattern.parse(f"{tmp_path}/{name}")
    numbers = (20786, 20787, 20788) if pattern.has_dates else (97, 98, 99)
    for number in numbers:
        for version in (1, 2):
            folder = Path(pattern.fill(number, version).removesuffix("/*"))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "log.csv").touch()
    split = example_gen_pb2.Input.Split(name="all", pattern=name)
    is_given = utils.verify_split_pattern_specs(split)
    for number in numbers:
        expected = utils.get_pattern_for_span_version(name, *is_given, number, 2)
        assert pattern.fill(number, 2) == f"{tmp_path}/{expected}"
    _, span, version = utils.calculate_splits_fingerprint_span_and_version(str(tmp_path), [split])
    chosen = choose_spans(pattern.text, SpansConfig())
    assert [one.number for one in chosen] == list(numbers)
    assert chosen[-1].number == span
    newest = Path(pattern.fill(span, version).removesuffix("/*"))
    assert chosen[-1].files == (os.path.join(newest, "log.csv"),)
