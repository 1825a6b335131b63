import csv
import gzip
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.log import interactions
from adarec_tf.data.log.errors import InteractionsError
from adarec_tf.data.log.interactions import (
    EVENT_FIELD,
    INTERACTION_SCHEMA,
    MISSING_IDS,
    LogSummary,
    inspect_log,
    read_interactions,
)
from adarec_tf.data.log.readers import InteractionColumns
from tests.strategies import raw_ids

HEADER = "user_id,item_id,timestamp\n"
Row = tuple[str, str, int]


def read_rows(path: Path, **options: int) -> list[Row]:
    batches = list(read_interactions(str(path), **options))
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_ids_survive_exactly_as_written(tmp_path: Path) -> None:
    text = HEADER + '007,NA,1\n"a,b","say ""hi""",2\n x y ,None,3\nzoë,漢字,4\n1.0,tab\there,5\n'
    assert read_rows(write(tmp_path / "log.csv", text)) == [
        ("007", "NA", 1),
        ("a,b", 'say "hi"', 2),
        (" x y ", "None", 3),
        ("zoë", "漢字", 4),
        ("1.0", "tab\there", 5),
    ]


def test_byte_order_mark_windows_line_ends_and_empty_lines_are_no_content(tmp_path: Path) -> None:
    text = "\ufeffuser_id,item_id,timestamp\r\nu,i,1\r\n\r\nu,j,2\r\n"
    assert read_rows(write(tmp_path / "log.csv", text)) == [("u", "i", 1), ("u", "j", 2)]


def test_tsv_gzip_and_other_column_names(tmp_path: Path) -> None:
    text = 'when\twho\tnote\twhat\n1\tu\t"line\nbreak"\ta,b\n'
    path = write(tmp_path / "log.tsv.gz", gzip.compress(text.encode()))
    columns = InteractionColumns(user="who", item="what", time="when")
    [batch] = read_interactions(str(path), columns)
    assert batch.to_pylist() == [{"user_id": "u", "item_id": "a,b", "timestamp": 1}]


def test_negative_millisecond_and_spaced_times(tmp_path: Path) -> None:
    text = HEADER + "u,i,-5\nu,i,1700000000123\nu,i, 7 \nu,i,8.0\nu,i,1e3\n"
    path = write(tmp_path / "log.csv", text)
    assert inspect_log([str(path)]) == LogSummary(5, 1, {}, 1_700_000_000_123)
    assert [row[2] for row in read_rows(path)] == [-5, 1_700_000_000_123, 7, 8, 1000]


def test_fractional_times_keep_their_order_across_files(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.csv", HEADER + "u,i,3\nu,i,1\n")
    fractional = write(tmp_path / "b.csv", HEADER + "u,i,2.25\nu,i,-0.5\n")
    summary = inspect_log([str(whole), str(fractional)])
    assert summary == LogSummary(4, 1_000_000, {}, 3.0)
    rows = read_rows(whole, time_scale=summary.time_scale)
    rows += read_rows(fractional, time_scale=summary.time_scale)
    assert [row[2] for row in rows] == [3_000_000, 1_000_000, 2_250_000, -500_000]


def test_fractions_beside_times_too_large_for_them_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", HEADER + "u,i,0.5\nu,i,1700000000000000000\n")
    with pytest.raises(InteractionsError, match="fractions"):
        inspect_log([str(path)])


def test_seconds_beside_milliseconds_are_refused_with_their_files(tmp_path: Path) -> None:
    seconds = write(tmp_path / "a.csv", HEADER + "u,i,1700000000\n")
    milliseconds = write(tmp_path / "b.csv", HEADER + "u,i,1700000000123\n")
    expected = (
        r"`timestamp` should be in one unit in the whole log\. Received: 1700000000 in \S+a\.csv, "
        r"as in unix seconds, and 1700000000123 in \S+b\.csv, as in milliseconds; bring them"
    )
    with pytest.raises(InteractionsError, match=expected):
        inspect_log([str(milliseconds), str(seconds)])
    assert inspect_log([str(milliseconds)]).num_interactions == 1


def test_a_first_look_is_at_the_first_blocks_of_every_source(tmp_path: Path) -> None:
    rows = "".join(f"user{n},item{n},{n}\n" for n in range(100))
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, HEADER + rows + "u,i,zzz\n")
    sources = [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    one, two = (inspect_log(sources[:1], block_bytes=256, max_blocks=number) for number in (1, 2))
    assert 0 < one.num_interactions < two.num_interactions < 100
    assert inspect_log(sources, block_bytes=256, max_blocks=1).num_interactions == (
        2 * one.num_interactions
    )
    with pytest.raises(InteractionsError, match=r"line 102: `timestamp` should be a number"):
        inspect_log(sources, block_bytes=256)


@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_blocks_do_not_change_the_rows(tmp_path: Path, block_bytes: int) -> None:
    text = HEADER + "".join(f"user{n % 7},item{n % 11},{n}\n" for n in range(100))
    rows = read_rows(write(tmp_path / "log.csv", text), block_bytes=block_bytes)
    assert rows == [(f"user{n % 7}", f"item{n % 11}", n) for n in range(100)]


def test_prose_with_line_breaks_in_ignored_columns_is_no_row(tmp_path: Path) -> None:
    row = 'u{0},"so, so\n\nu9,i9,9\n",i{0},{0}\n'
    text = "user_id,review,item_id,timestamp\n" + "".join(row.format(n) for n in range(50))
    rows = read_rows(write(tmp_path / "log.csv", text), block_bytes=64)
    assert rows == [(f"u{n}", f"i{n}", n) for n in range(50)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("u,i,yesterday\n", r"line 103: `timestamp` should be a number.*'yesterday'"),
        ("u,i,\n", r"line 103: `timestamp` should be a number.*''"),
        ("u,i,inf\n", r"line 103: `timestamp` should be a number"),
        ("u,i,0x10\n", r"line 103: `timestamp` should be a number"),
        (",i,1\n", r"line 103: `user_id` should be an id, not a missing value"),
        ("u,NaN,1\n", r"line 103: `item_id` should be an id.*'NaN'"),
        ("u,null,1\n", r"line 103: `item_id` should be an id.*'null'"),
        ("u,i\n", r"line 103: a row should have 3 fields.*Received: 2"),
        ("u,i,1,2\n", r"line 103: a row should have 3 fields.*Received: 4"),
        ('u,"a\nb",1\n', r"line 103: `item_id` should have no line break"),
        ('u,"i,1\n', r"line 103: a row should have 3 fields.*Received: 2"),
    ],
)
@pytest.mark.parametrize("block_bytes", [256, 1 << 20])
def test_a_bad_row_is_named_by_its_line(
    tmp_path: Path, rows: str, message: str, block_bytes: int
) -> None:
    good = "".join(f"u,i,{n}\n" for n in range(100))
    # The empty line shifts the lines against the rows.
    path = write(tmp_path / "log.csv", HEADER + "\n" + good + rows + "u,i,zzz\n")
    with pytest.raises(InteractionsError, match=message) as caught:
        inspect_log([str(path)], block_bytes=block_bytes)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_named_by_its_line(tmp_path: Path) -> None:
    latin = (HEADER + "u,i,1\nu,é,2\n").encode("latin-1")
    with pytest.raises(InteractionsError, match=r"line 3: text should be UTF-8"):
        read_rows(write(tmp_path / "latin.csv", latin))
    wide = (HEADER + "u,i,1\n").encode("utf-16")
    with pytest.raises(InteractionsError, match=r"line 1: text should be UTF-8"):
        read_rows(write(tmp_path / "wide.csv", wide))


def test_a_quote_left_open_is_refused(tmp_path: Path) -> None:
    text = HEADER + 'u,i,1\nu,"i,2\n' + "u,i,3\n" * 40_000
    with pytest.raises(InteractionsError, match=r"line 3: quotes should be closed"):
        read_rows(write(tmp_path / "log.csv", text))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (HEADER.encode(), "no rows"),
        (HEADER.strip().encode(), "no rows"),
        (b"user_id,product\nu,i\n", "one column `item_id`.*columns: user_id, product"),
        (b"user_id,item_id,item_id,timestamp\nu,i,i,1\n", "one column `item_id`"),
        (HEADER.replace(",", "\t").encode(), "separated by commas.*one column `user_id`"),
    ],
)
def test_a_file_without_rows_or_columns_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(InteractionsError, match=message):
        read_rows(write(tmp_path / "log.csv", content))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for name in ("absent.csv", "absent.parquet"):
        with pytest.raises(InteractionsError, match="absent"):
            read_rows(tmp_path / name)


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"user{n},item{n * 7919 % 1000},{n}\n" for n in range(20_000))
    packed = gzip.compress((HEADER + rows).encode())
    for number, content in enumerate([packed[: len(packed) // 2], packed[:-4], b"user_id,item"]):
        with pytest.raises(InteractionsError, match="should be a whole file"):
            read_rows(write(tmp_path / f"{number}.csv.gz", content))


def write_parquet(path: Path, users: pa.Array, items: pa.Array, times: pa.Array) -> Path:
    pq.write_table(pa.table({"user_id": users, "item_id": items, "timestamp": times}), path)
    return path


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pa.array([1, -2]), [1, -2]),
        (pa.array([1.0, -2.0]), [1, -2]),
        (pa.array(["1", "-2"]), [1, -2]),
        (pa.array([1, -2], pa.timestamp("ms")), [1000, -2000]),
        (pa.array([1, -2], pa.date32()), [86_400_000_000, -172_800_000_000]),
    ],
)
def test_parquet_columns_of_many_types(tmp_path: Path, times: pa.Array, expected: list) -> None:
    users, items = pa.array([7, 8]), pa.array(["a", "b"]).dictionary_encode()
    path = write_parquet(tmp_path / "log.parquet", users, items, times)
    assert read_rows(path) == [("7", "a", expected[0]), ("8", "b", expected[1])]


def test_bad_parquet_is_named_by_row_or_column(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    good = pa.array(["a", "b"]), pa.array([1, 2])
    write_parquet(path, pa.array(["u", None]), *good)
    with pytest.raises(InteractionsError, match=r"row 2: `user_id` should be an id"):
        read_rows(path)
    write_parquet(path, good[0], good[0], pa.array([1.0, float("nan")]))
    with pytest.raises(InteractionsError, match=r"row 2: `timestamp` should be a number"):
        read_rows(path)
    write_parquet(path, pa.array([1.5, 2.5]), *good)
    with pytest.raises(InteractionsError, match=r"`user_id` should hold text or whole numbers"):
        read_rows(path)
    write_parquet(path, good[0], good[0], pa.array([True, False]))
    with pytest.raises(InteractionsError, match=r"`timestamp` should hold numbers"):
        read_rows(path)
    pq.write_table(pa.table({"user_id": good[0]}), path)
    with pytest.raises(InteractionsError, match=r"one column `item_id`.*columns: user_id"):
        read_rows(path)
    write_parquet(path, good[0][:0], good[0][:0], good[1][:0])
    with pytest.raises(InteractionsError, match="no rows"):
        read_rows(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InteractionsError, match="whole Parquet file"):
        read_rows(path)


usable_ids = raw_ids.filter(lambda text: text not in MISSING_IDS)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(usable_ids, usable_ids, st.integers(-(2**62), 2**62)), min_size=1, max_size=20
    )
)
def test_reading_returns_what_was_written(rows: list[Row]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("user_id", "item_id", "timestamp"), *rows])
    with TemporaryDirectory() as directory:
        assert read_rows(write(Path(directory) / "log.csv", text.getvalue())) == rows


def test_text_compressed_by_zstd_reads_as_it_is(tmp_path: Path) -> None:
    text = HEADER + "u,i,1\nv,j,2\n"
    plain, packed = tmp_path / "log.csv", tmp_path / "log.csv.zst"
    write(plain, text)
    with pa.output_stream(str(packed), compression="zstd") as stream:
        stream.write(text.encode())
    assert read_rows(packed) == read_rows(plain)
    with pa.output_stream(str(packed), compression="zstd") as stream:
        stream.write((text + "v,,3\n").encode())
    with pytest.raises(InteractionsError, match=r"log\.csv\.zst, line 4: `item_id` should"):
        read_rows(packed)
    packed.write_bytes(packed.read_bytes()[:-5])
    with pytest.raises(InteractionsError, match=r"log\.csv\.zst should be a whole file"):
        read_rows(packed)


EVENTS = InteractionColumns(event="what")
EVENT_LOG = "what,user_id,item_id,timestamp\nview,u,i,1\n\nview,u,j,2\n02,v,i,3\n cart,v,i,4\n"


def read_events(path: Path, block_bytes: int = 1 << 20) -> list[str]:
    batches = list(read_interactions(str(path), EVENTS, block_bytes=block_bytes))
    assert {batch.schema for batch in batches} == {INTERACTION_SCHEMA.append(EVENT_FIELD)}
    return [event for batch in batches for event in batch["event"].to_pylist()]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz"])
def test_event_types_are_text_as_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"log{ending}"
    text = EVENT_LOG.replace(",", "\t") if ".tsv" in ending else EVENT_LOG
    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    with pa.output_stream(str(path), compression=compression) as stream:
        stream.write(text.encode())
    counts = {"view": 2, "02": 1, " cart": 1}
    assert inspect_log([str(path)], EVENTS) == LogSummary(4, 1, counts, 4.0)
    assert read_events(path) == ["view", "view", "02", " cart"]
    # Blocks that have met other types than the ones before.
    assert read_events(path, block_bytes=32) == ["view", "view", "02", " cart"]


def test_a_column_of_events_is_read_only_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", EVENT_LOG.replace("02", ""))
    assert inspect_log([str(path)]) == LogSummary(4, 1, {}, 4.0)
    [batch] = read_interactions(str(path))
    assert batch.schema == INTERACTION_SCHEMA


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("", r"line 4: `what` should be an event type, not a missing value\. Received: ''"),
        ("nan", r"line 4: `what` should be an event type.*'nan'"),
        ('"a\nb"', r"line 4: `what` should have no line break in an event type"),
    ],
)
@pytest.mark.parametrize("block_bytes", [32, 1 << 20])
def test_a_row_without_an_event_type_is_named_by_its_line(
    tmp_path: Path, event: str, message: str, block_bytes: int
) -> None:
    path = write(tmp_path / "log.csv", EVENT_LOG.replace("view,u,j", f"{event},u,j"))
    with pytest.raises(InteractionsError, match=message) as caught:
        inspect_log([str(path)], EVENTS, block_bytes)
    assert str(path) in str(caught.value)


def test_the_first_bad_row_is_named_whatever_its_column(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", EVENT_LOG.replace("02,v,i,3", ",v,i,3\n02,,i,4"))
    with pytest.raises(InteractionsError, match=r"line 5: `what`"):
        inspect_log([str(path)], EVENTS)


def test_a_log_without_the_column_of_events_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", HEADER + "u,i,1\n")
    with pytest.raises(InteractionsError, match=r"one column `what`.*columns: user_id, item_id"):
        inspect_log([str(path)], EVENTS)


def test_ids_are_no_event_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "_MAX_EVENT_TYPES", 3)
    good = write(tmp_path / "good.csv", EVENT_LOG)
    assert len(inspect_log([str(good)], EVENTS).event_counts) == 3
    more = write(tmp_path / "more.csv", EVENT_LOG.replace("cart", "sale"))
    with pytest.raises(
        InteractionsError, match=r"more\.csv: `what` should have 3 event types at m"
    ):
        inspect_log([str(good), str(more)], EVENTS)


@pytest.mark.parametrize(
    "events",
    [
        pa.array(["view", "buy"]),
        pa.array(["view", "buy"], pa.large_string()),
        pa.array(["view", "buy"], pa.binary()),
        pa.array(["view", "buy"]).dictionary_encode(),
    ],
)
def test_parquet_event_types_of_many_types(tmp_path: Path, events: pa.Array) -> None:
    ids = pa.array(["a", "b"])
    table = {"user_id": ids, "item_id": ids, "timestamp": pa.array([1, 2]), "what": events}
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    assert read_events(tmp_path / "log.parquet") == ["view", "buy"]


def test_parquet_events_may_be_whole_numbers_and_no_row_is_without(tmp_path: Path) -> None:
    path, ids = tmp_path / "log.parquet", pa.array(["a", "b"])
    table = {"user_id": ids, "item_id": ids, "timestamp": pa.array([1, 2])}
    pq.write_table(pa.table({**table, "what": pa.array([5, -1], pa.int8())}), path)
    assert read_events(path) == ["5", "-1"]
    for missing in (pa.array(["view", None]), pa.array(["view", None]).dictionary_encode()):
        pq.write_table(pa.table({**table, "what": missing}), path)
        with pytest.raises(InteractionsError, match=r"row 2: `what` should be an event type"):
            read_events(path)
    pq.write_table(pa.table({**table, "what": pa.array([1.0, 2.0])}), path)
    with pytest.raises(InteractionsError, match=r"`what` should hold text or whole numbers"):
        read_events(path)
