import datetime
import itertools
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.log.spans import (
    SpanError,
    SpanPattern,
    choose_spans,
    describe_spans,
    is_span_pattern,
    list_log_files,
)

HEADER = "user_id,item_id,timestamp\n"
LOG = f"{HEADER}u,i,1\n"


def write_days(root: Path, *days: str) -> str:
    for day in days:
        (root / day).mkdir(parents=True)
        (root / day / "b.csv").write_text(LOG)
        (root / day / "a.csv").write_text(LOG)
        (root / day / "_SUCCESS").touch()
        (root / day / ".hidden").touch()
    return f"{root}/{{YYYY}}-{{MM}}-{{DD}}/*"


def labels(pattern: str, **config: object) -> list[str]:
    return [span.label for span in choose_spans(pattern, SpansConfig(**config))]


def test_all_days_are_read_oldest_first_with_their_files_by_name(tmp_path: Path) -> None:
    pattern = write_days(tmp_path, "2026-12-01", "2026-11-30", "notes")
    spans = choose_spans(pattern, SpansConfig())
    assert [span.label for span in spans] == ["2026-11-30", "2026-12-01"]
    names = [str(tmp_path / day / name) for day in ("2026-11-30", "2026-12-01") for name in "ab"]
    assert [file for span in spans for file in span.files] == [f"{name}.csv" for name in names]
    assert list_log_files(pattern, SpansConfig()) == [f"{name}.csv" for name in names]
    assert spans[1].number - spans[0].number == 1
    assert describe_spans(spans) == "2026-11-30 to 2026-12-01: 2 spans, 4 files"


def test_a_window_ends_with_the_last_span_asked_for(tmp_path: Path) -> None:
    days = [f"2026-11-{day:02}" for day in range(1, 6)]
    pattern = write_days(tmp_path, *days)
    assert labels(pattern, window=2) == days[3:]
    assert labels(pattern, window=2, last="2026-11-03") == days[1:3]
    assert labels(pattern, last="2026-11-02") == days[:2]
    # The log begins within the window.
    assert labels(pattern, window=9, last="2026-11-02") == days[:2]


def test_days_may_be_files_or_folders_and_stand_in_several_parts(tmp_path: Path) -> None:
    (tmp_path / "2026" / "11" / "02").mkdir(parents=True)
    (tmp_path / "2026" / "11" / "02" / "x.tsv").touch()
    pattern = f"{tmp_path}/{{YYYY}}/{{MM}}/{{DD}}/"
    assert choose_spans(pattern, SpansConfig())[0].files == (f"{tmp_path}/2026/11/02/x.tsv",)
    (tmp_path / "log-20261103.csv.gz").touch()
    pattern = f"{tmp_path}/log-{{YYYY}}{{MM}}{{DD}}.csv*"
    assert choose_spans(pattern, SpansConfig())[0].files == (f"{tmp_path}/log-20261103.csv.gz",)


def test_numbered_spans_have_their_newest_version_read(tmp_path: Path) -> None:
    for name in ("s-9/v1", "s-9/v10", "s-9/v2", "s-10/v1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "log.csv").touch()
    spans = choose_spans(f"{tmp_path}/s-{{SPAN}}/v{{VERSION}}/*", SpansConfig())
    assert [span.files for span in spans] == [
        (f"{tmp_path}/s-9/v10/log.csv",),
        (f"{tmp_path}/s-10/v1/log.csv",),
    ]
    assert labels(f"{tmp_path}/s-{{SPAN}}/v{{VERSION}}/*", last="09") == ["9"]


@pytest.mark.parametrize("is_folder_there", [False, True])
def test_a_missing_day_is_refused_or_counted(tmp_path: Path, is_folder_there: bool) -> None:
    pattern = write_days(tmp_path, "2026-11-01", "2026-11-03")
    if is_folder_there:
        (tmp_path / "2026-11-02").mkdir()
    with pytest.raises(SpanError, match=r"none for 2026-11-02.*spans\.missing=skip") as refused:
        choose_spans(pattern, SpansConfig(window=2))
    assert (f"{tmp_path}/2026-11-02 is empty" in str(refused.value)) == is_folder_there
    spans = choose_spans(pattern, SpansConfig(missing="skip"))
    assert describe_spans(spans) == (
        "2026-11-01 to 2026-11-03: 2 spans, 4 files; nothing for 2026-11-02"
    )


@pytest.mark.parametrize("content", [HEADER, "", f"{HEADER}\n\n"])
def test_a_day_without_a_row_is_skipped_where_missing_days_are(
    tmp_path: Path, content: str
) -> None:
    pattern = write_days(tmp_path, "2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04")
    for day in ("2026-11-02", "2026-11-04"):
        for name in ("a.csv", "b.csv"):
            (tmp_path / day / name).write_text(content)
    (tmp_path / "2026-11-03" / "a.csv").write_text(content)
    spans = choose_spans(pattern, SpansConfig(missing="skip"))
    assert describe_spans(spans) == (
        "2026-11-01 to 2026-11-03: 2 spans, 3 files; nothing for 2026-11-02"
    )
    with pytest.raises(
        SpanError, match=r"there are 2026-11-01 to 2026-11-03\. Received: 2026-11-04"
    ):
        choose_spans(pattern, SpansConfig(missing="skip", last="2026-11-04"))
    refused = choose_spans(pattern, SpansConfig())  # whoever reads them says which have no rows
    assert describe_spans(refused) == "2026-11-01 to 2026-11-04: 4 spans, 8 files"


def test_many_missing_days_are_not_all_named(tmp_path: Path) -> None:
    pattern = write_days(tmp_path, "2026-11-01", "2026-11-20")
    with pytest.raises(SpanError, match=r"2026-11-02, .*2026-11-06 and 13 more\. Bring"):
        choose_spans(pattern, SpansConfig())


def test_the_last_span_has_to_be_there(tmp_path: Path) -> None:
    pattern = write_days(tmp_path, "2026-11-01", "2026-11-02")
    for missing in SpansConfig.choices("missing"):
        config = SpansConfig(last="2026-11-03", missing=missing)
        with pytest.raises(SpanError, match=r"there are 2026-11-01 to 2026-11-02. Received: 2026"):
            choose_spans(pattern, config)


def test_nothing_that_matches_is_an_error(tmp_path: Path) -> None:
    pattern = f"{tmp_path}/{{YYYY}}-{{MM}}-{{DD}}/*"
    with pytest.raises(SpanError, match=r"should match files of a log. Received: nothing"):
        choose_spans(pattern, SpansConfig())
    (tmp_path / "2026-11-01").mkdir()
    with pytest.raises(SpanError, match="nothing that does but what is empty"):
        choose_spans(f"{tmp_path}/{{YYYY}}-{{MM}}-{{DD}}", SpansConfig())


def test_a_date_that_is_none_is_named(tmp_path: Path) -> None:
    pattern = write_days(tmp_path, "2026-11-01", "2026-02-30")
    with pytest.raises(SpanError, match=r"named by dates. Received: .*2026-02-30/a.csv"):
        choose_spans(pattern, SpansConfig())


@pytest.mark.parametrize(
    "text",
    [
        *("logs/{YYYY}-{MM}", "{YYYY}-{MM}-{DD}-{DD}", "{DAY}/*", "{SPAN}/{YYYY}{MM}{DD}"),
        *("{VERSION}/*", "{SPAN}/{VERSION}/{VERSION}", "{SPAN:x}", "{SPAN:0}", "{SPAN:}"),
        *("{YYYY:4}-{MM}-{DD}", "{SPAN", "{SPAN}}", "{}"),
    ],
)
def test_a_malformed_pattern_is_refused(text: str) -> None:
    with pytest.raises(SpanError, match=re.escape(f"Received: {text}.")):
        SpanPattern.parse(text)


def test_a_name_with_braces_that_is_there_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "{SPAN}.csv"
    assert is_span_pattern(path)
    path.touch()
    assert not is_span_pattern(path)
    assert not is_span_pattern("plain.csv")


def test_the_folder_of_all_spans_has_no_part_of_a_pattern() -> None:
    for text, folder in (("/a/b/{SPAN}/*", "/a/b"), ("{SPAN}", "."), ("/{SPAN}", "/")):
        assert SpanPattern.parse(text).folder == folder
    assert SpanPattern.parse("a/*/{SPAN}").folder == "a"


@settings(deadline=None, max_examples=40)
@given(
    st.sets(st.dates(datetime.date(1969, 12, 1), datetime.date(1970, 2, 28)), min_size=1),
    st.integers(0, 40),
)
def test_what_is_chosen_are_the_days_of_the_window(days: set[datetime.date], window: int) -> None:
    with TemporaryDirectory() as directory:
        pattern = write_days(Path(directory), *(day.isoformat() for day in days))
        spans = choose_spans(pattern, SpansConfig(window=window, missing="skip"))
    newest = max(days)
    expected = {day for day in days if window == 0 or (newest - day).days < window}
    assert {span.label for span in spans if span.files} == {day.isoformat() for day in expected}
    for before, after in itertools.pairwise(spans):
        assert after.number == before.number + 1
    assert spans[-1].number == (newest - datetime.date(1970, 1, 1)).days
    assert window == 0 or len(spans) <= window


@pytest.mark.parametrize("value", [{"last": "yesterday"}, {"window": -1}, {"missing": "ignore"}])
def test_settings_are_checked(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(value))}` should be"):
        SpansConfig(**value)
