"""A log to a `Dataset`: by hand, from every kind of source, and its errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet
import pytest

from adarec_tf.config.data import DataConfig
from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.dataset import VOCABULARY_FILE, Dataset
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.storage.history_files import SPLITS, read_histories, read_statistics

# `rare` is left once; without it u2 has two interactions left.
LOG = """who,item_id,timestamp
u1,a,1
u1,b,2
u1,b,2
u1,c,3
u2,a,4
u2,b,5
u2,rare,6
u3,c,7
u3,a,8
u3,b,9
u3,d,10
u1,d,11
"""
OPTIONS = {"user": "who", "min_item_interactions": 2}


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return str(path)


def table_of(text: str) -> pa.Table:
    header, *rows = (line.split(",") for line in text.splitlines())
    columns = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
    return pa.table({**columns, "timestamp": [int(time) for time in columns["timestamp"]]})


def told(dataset: Dataset) -> dict[str, tuple[list[str], str]]:
    """The test histories and targets by user, in words."""
    decode, test = dataset.vocabulary.decode, dataset.test
    return {
        key.decode(): (decode(test.history(row)), decode(test.targets[row : row + 1])[0])
        for row, key in enumerate(test.user_keys)
    }


def test_what_the_filters_leave_by_hand(log: str) -> None:
    dataset = Dataset.from_interactions(log, **OPTIONS, max_length=7, seen="keep")
    assert told(dataset) == {"u1": (["a", "b", "c"], "d"), "u3": (["c", "a", "b"], "d")}
    assert list(dataset.valid.targets) == [
        dataset.vocabulary.encode([{b"u1": "c", b"u3": "b"}[key]])[0]
        for key in dataset.valid.user_keys
    ]
    assert sorted(dataset.vocabulary.keys) == ["a", "b", "c", "d"]
    assert dataset.num_items == dataset.statistics.num_items == 4
    assert (dataset.max_length, dataset.seen) == (7, "keep")
    assert dataset.statistics.removed == {
        "duplicate_interactions": 1,
        "interactions_of_rare_items": 1,
        "users_with_short_histories": 1,
        "interactions_of_short_histories": 2,
    }


class Stream:
    """A table of a library that knows Arrow's streams alone."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        import ctypes

        make = ctypes.pythonapi.PyCapsule_New
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.structure = ctypes.create_string_buffer(64)  # lives as long as the source
        address = ctypes.addressof(self.structure)
        pa.RecordBatchReader.from_batches(self.table.schema, self.table.to_batches())._export_to_c(
            address
        )
        return make(address, b"arrow_array_stream", None)


@pytest.mark.parametrize(
    "make",
    [lambda table: table, pa.Table.to_pandas, Stream, polars.from_arrow, lambda t: t.slice(0, 5)],
)
def test_tables_are_read_as_files_are(
    tmp_path: Path, make: Callable[[pa.Table], Any], request: pytest.FixtureRequest
) -> None:
    table = table_of(LOG)
    source = make(table)
    if isinstance(source, pa.Table):  # in chunks, and part of a longer one
        table, source = source, pa.concat_tables([source.slice(0, 2), source.slice(2)])
    path = tmp_path / "log.parquet"
    pyarrow.parquet.write_table(table, path)
    found, expected = (Dataset.from_interactions(source, user="who") for source in (source, path))
    assert found.statistics == expected.statistics
    for ours, theirs in zip(found.splits, expected.splits, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_column_that_is_named_is_the_one_that_is_read() -> None:
    table = table_of(LOG).append_column("item", pa.array(["x", "y", "z"] * 4))
    table = table.append_column("when", pa.array(range(12, 0, -1)))
    dataset = Dataset.from_interactions(table, user="who", item="item", time="when")
    assert dataset.vocabulary.num_items == 3
    assert told(dataset)["u1"] == (["z", "x", "z", "y"], "x")


def test_items_behind_the_cut_in_time_are_not_in_the_vocabulary() -> None:
    # Of ten interactions, the periods begin at 8 and at 11; `d` comes later than 8 alone.
    log = table_of(LOG + "u1,a,12\nu3,b,13\n")
    options = {**OPTIONS, "split": "global_time"}
    dataset = Dataset.from_interactions(log, **options, test_time_share=0.3)
    assert set(dataset.vocabulary.keys) == {"a", "b", "c"}
    assert told(dataset) == {"u3": (["c", "a", "b"], "b")}
    with pytest.raises(ValueError, match=r"Received: 0 and 2; removed were .*`test_time_share`"):
        Dataset.from_interactions(log, **options, test_time_share=0.2)


def test_events_that_are_not_asked_for_are_not_counted(tmp_path: Path) -> None:
    header, *rows = LOG.splitlines()
    bought = [f"{row},{'view' if ',c,' in row else 'buy'}" for row in rows]
    path = tmp_path / "log.csv"
    path.write_text("\n".join([f"{header},what", *bought]))
    options = {"user": "who", "event_column": "what"}
    dataset = Dataset.from_interactions(path, **options, events=("buy",))
    assert set(dataset.vocabulary.keys) == {"a", "b", "d", "rare"}
    assert dataset.statistics.removed["interactions_of_other_events"] == 2
    with pytest.raises(ValueError, match=r"which are 'buy' \(10\), 'view' \(2\)"):
        Dataset.from_interactions(path, **options, events=("cart",))


def test_daily_folders_are_read_as_far_as_asked_for(tmp_path: Path) -> None:
    header, *rows = LOG.splitlines()
    for day, part in ((1, rows[:7]), (2, rows[7:])):
        folder = tmp_path / f"2026-01-0{day}"
        folder.mkdir()
        (folder / "log.csv").write_text("\n".join([header, *part]))
    pattern = f"{tmp_path}/{{YYYY}}-{{MM}}-{{DD}}/*"
    config = DataConfig(user_column="who")
    assert set(told(Dataset.from_config(pattern, config))) == {"u1", "u2", "u3"}
    first = Dataset.from_config(pattern, config, SpansConfig(last="2026-01-01"))
    assert set(told(first)) == {"u1", "u2"}


def test_an_earlier_vocabulary_keeps_its_ids(log: str) -> None:
    earlier = ItemVocabulary(("gone", "d"))
    config = DataConfig(user_column="who")
    dataset = Dataset.from_config(log, config, previous_vocabulary=earlier)
    assert dataset.vocabulary.keys == ("gone", "d", "a", "b", "c", "rare")
    assert told(dataset) == told(Dataset.from_config(log, config))


def test_taken_users_are_the_same_in_every_split(log: str) -> None:
    dataset = Dataset.from_interactions(log, user="who")
    one = dataset.take_users(1)
    [key] = one.train.user_keys
    assert [list(split.user_keys) for split in one.splits] == [[key]] * 3
    assert told(one) == {key.decode(): told(dataset)[key.decode()]}
    assert one.vocabulary == dataset.vocabulary
    assert one.statistics.num_users == 1
    assert one.statistics.data_fingerprint != dataset.statistics.data_fingerprint
    assert one.shard_sizes.sum(axis=0).tolist() == [1, 1, 1]
    assert dataset.take_users(0) is dataset
    assert told(dataset.take_users(2)).keys() > told(one).keys()


@pytest.mark.parametrize("num", [0, 2])
def test_what_is_written_is_read_again(log: str, tmp_path: Path, num: int) -> None:
    dataset = Dataset.from_interactions(log, user="who").take_users(num)
    folder = tmp_path / "written"
    dataset.write(folder)
    assert read_statistics(str(folder)) == dataset.statistics
    assert ItemVocabulary.read(str(folder / VOCABULARY_FILE)) == dataset.vocabulary
    for name, expected in zip(SPLITS, dataset.splits, strict=True):
        for one, other in zip(read_histories(str(folder), name), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(list((folder / "Split-train").iterdir())) == 8


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (
            table_of(LOG),
            {},
            r"`source` should have one column `user_id`\. Received the columns: who.*in Python",
        ),
        (
            pd.DataFrame({"who": ["u"]}),
            {"user": "who"},
            "`source` should have one column `item_id`",
        ),
        (table_of("who,item_id,timestamp\nu1,,3"), {"user": "who"}, "`source`, row 1: `item_id` "),
        (pa.table({"user_id": [1.5], "item_id": ["a"], "timestamp": [1]}), {}, "column `user_id`"),
        (pd.DataFrame({"user_id": [1, "u"]}), {}, r"`source` should have columns of one type"),
        ([("u1", "a", 1)], {}, r"`source` should be a path, or a table .*Received: list"),
        ("nowhere.csv", {}, r"nowhere\.csv should be a file or a folder"),
        (
            table_of(LOG),
            {"user": "who", "seen": "no"},
            "`seen` should be .auto., .exclude. or .keep.",
        ),
        (table_of(LOG), {"user": "item_id"}, "three different names"),
        (table_of(LOG).slice(0, 2), {"user": "who"}, r"0 users and 0 items.*Bring a longer log"),
        (
            pa.table({"user_id": ["u"] * 4, "item_id": ["a"] * 4, "timestamp": [1, 2, 3, 4]}),
            {},
            "`source`.* two items .* Received: 1 users and 1 items",
        ),
        (
            table_of("user_id,item_id,timestamp\nu,a,1700000000\nu,b,1700000000123"),
            {},
            "`timestamp` should be in one unit .*Received: 1700000000 in `source`",
        ),
        (
            pa.table({"user_id": ["u"], "item_id": ["a"], "timestamp": [-1700000000000]}),
            {"session_gap_seconds": 60.0},
            "`time_unit` should be that of the log's times",
        ),
    ],
)
def test_what_cannot_be_a_dataset_is_one_plain_error(
    source: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset.from_interactions(source, **options)
