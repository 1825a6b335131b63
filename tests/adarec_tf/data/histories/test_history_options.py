"""Sessions and repeats: against slow loops, and by hand."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.history_options import (
    HistoryOptions,
    check_time_unit,
    shape_histories,
    shape_partition,
)
from adarec_tf.data.log.encoded import ORDERED_SCHEMA
from adarec_tf.data.storage import user_partitions
from adarec_tf.data.storage.arrow_files import read_part, read_parts, write_tables
from adarec_tf.data.storage.user_partitions import Partition
from tests.adarec_tf.data.coded_rows import CodedRows, coded
from tests.references import sequences as reference
from tests.strategies import interactions

Row = tuple[str, str, int]
REPEATS = st.sampled_from(DataConfig.choices("repeats"))
GAPS = st.sampled_from([0, 0.5, 1, 2, 4])


def in_order(rows: list[Row]) -> list[Row]:
    """By key and time, in order of arrival where equal."""
    return sorted(rows, key=lambda row: (row[0], row[2]))


def expected(rows: list[Row], gap: float, repeats: str) -> list[Row]:
    unique = list(dict.fromkeys(rows))
    return reference.without_repeats(reference.sessions_of(unique, gap) if gap else unique, repeats)


def decoded(table: pa.Table, keys: pa.Array, log: CodedRows) -> list[Row]:
    assert table.schema.equals(ORDERED_SCHEMA)
    users = keys.take(table["user"].combine_chunks()).to_pylist()
    items = log.item_keys.take(table["item"].combine_chunks()).to_pylist()
    return list(zip(users, items, table["timestamp"].to_pylist(), strict=True))


@settings(deadline=None, max_examples=50)
@given(interactions(), GAPS, REPEATS)
def test_options_agree_with_the_reference(rows: list[Row], gap: float, repeats: str) -> None:
    log = coded(rows)
    shaped = shape_histories(log.interactions, log.user_keys, HistoryOptions(gap, repeats))
    kept = expected(rows, gap, repeats)
    # Sessions 10, 11, ... would be sorted before 2 as text, but there are not so many.
    assert decoded(shaped.interactions, shaped.keys, log) == in_order(kept)
    num_gone = len(set(rows)) - len(kept)
    assert shaped.removed == ({} if repeats == "keep" else {"repeated_interactions": num_gone})


@pytest.mark.parametrize(
    ("repeats", "items"),
    [
        ("keep", "abbacb"),
        ("drop_consecutive", "abacb"),
        ("keep_first", "abc"),
        ("keep_last", "acb"),
    ],
)
def test_repeats_that_stay_by_hand(repeats: str, items: str) -> None:
    log = coded([("u", item, time) for time, item in enumerate("abbacb")])
    shaped = shape_histories(log.interactions, log.user_keys, HistoryOptions(0, repeats))
    assert [item for _, item, _ in decoded(shaped.interactions, shaped.keys, log)] == list(items)


def test_a_session_ends_after_a_longer_gap_only() -> None:
    far = 2**62
    log = coded([("u", "a", time) for time in (-far, 0, 30, 61, 61 + far)] + [("v", "a", 61)])
    shaped = shape_histories(log.interactions, log.user_keys, HistoryOptions(30, "keep"))
    found = decoded(shaped.interactions, shaped.keys, log)
    assert [key for key, _, _ in found] == ["u#1", "u#2", "u#2", "u#3", "u#4", "v#1"]


@settings(deadline=None, max_examples=15)
@given(interactions(), GAPS, REPEATS)
def test_partitions_are_shaped_as_tables(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], gap: float, repeats: str
) -> None:
    folder = tmp_path_factory.mktemp("partition")
    log, options = coded(rows), HistoryOptions(gap, repeats)
    [keys] = write_tables(str(folder / "keys"), [pa.table({"user_id": log.user_keys})])
    chunks = [log.interactions.slice(start, 3) for start in range(0, len(log.interactions), 3)]
    before = {"duplicate_interactions": log.num_duplicates}
    refs = tuple(write_tables(str(folder / "rows"), chunks))
    shaped = shape_partition(Partition(4, keys, refs, before), str(folder), options)
    table = pa.concat_tables([ORDERED_SCHEMA.empty_table(), *read_parts(shaped.chunks)])
    shaped_keys = read_part(shaped.keys)["user_id"].combine_chunks()
    whole = shape_histories(log.interactions, log.user_keys, options)
    assert decoded(table, shaped_keys, log) == decoded(whole.interactions, whole.keys, log)
    assert shaped_keys.to_pylist() == whole.keys.to_pylist()
    assert shaped.number == 4
    assert shaped.removed == before | (whole.removed if rows else {})


def test_a_chunk_of_one_user_is_cut_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_partitions, "_CHUNK_ROWS", 4)
    log = coded([("u", "a", time) for time in range(10)])
    [keys] = write_tables(str(tmp_path / "keys"), [pa.table({"user_id": log.user_keys})])
    refs = tuple(write_tables(str(tmp_path / "rows"), [log.interactions]))
    shaped = shape_partition(Partition(0, keys, refs, {}), str(tmp_path), HistoryOptions(5, "keep"))
    assert [chunk.num_rows for chunk in shaped.chunks] == [4, 4, 2]


def test_the_gap_is_in_the_unit_of_the_times() -> None:
    config = DataConfig(session_gap_seconds=1.5, time_unit="milliseconds")
    assert HistoryOptions.of_config(config, 1).session_gap == 1500
    assert HistoryOptions.of_config(config, 10**6).session_gap == 1.5e9
    assert not HistoryOptions.of_config(DataConfig(), 1).is_any_in_use
    assert HistoryOptions.of_config(DataConfig(repeats="keep_last"), 1).is_any_in_use


@pytest.mark.parametrize(
    ("unit", "time", "message"),
    [
        ("seconds", 1.7e12, r"go 53,871 years from 1970 in seconds, 54 in milliseconds\. Received"),
        ("seconds", 1.7e15, r"in seconds, 54 in microseconds\. Received: time_unit='seconds'"),
        ("milliseconds", 1.7e15, r"go 53,871 years from 1970 in milliseconds, 54 in microseconds"),
        ("microseconds", 1.7e18, r"in microseconds, and far in each unit\. Received"),
    ],
)
def test_a_unit_that_is_centuries_off_is_refused(unit: str, time: float, message: str) -> None:
    config = DataConfig(session_gap_seconds=60.0, time_unit=unit)
    with pytest.raises(
        ValueError, match=rf"`time_unit` should be that of the log's times.*{message}"
    ):
        check_time_unit(config, time)
    check_time_unit(DataConfig(time_unit=unit), time)  # of no matter without sessions


@pytest.mark.parametrize(
    ("unit", "time"),
    [("seconds", 1.7e9), ("milliseconds", 1.7e12), ("microseconds", 1.7e15), ("seconds", 5.0)],
)
def test_times_of_today_and_places_in_a_row_are_in_their_unit(unit: str, time: float) -> None:
    check_time_unit(DataConfig(session_gap_seconds=60.0, time_unit=unit), time)
