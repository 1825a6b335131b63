from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from adarec_tf.data.storage.arrow_files import read_column, read_part, write_tables

TABLE = pa.table({"key": ["b", "a", "c"], "value": [1, 2, 3]})


def test_parts_are_read_as_they_were_written(tmp_path: Path) -> None:
    refs = write_tables(str(tmp_path / "parts"), [TABLE, TABLE.slice(0, 0), TABLE.select(["key"])])
    assert [read_part(ref) for ref in refs[:2]] == [TABLE, TABLE.slice(0, 0)]
    assert [ref.num_rows for ref in refs] == [3, 0, 3]
    assert read_column(refs[2]).to_pylist() == ["b", "a", "c"]


def test_a_reference_holds_while_and_after_another_worker_writes_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "tables")
    first = write_tables(path, [TABLE, TABLE.slice(1)])

    def tables() -> Iterator[pa.Table]:
        yield TABLE
        assert read_part(first[1]) == TABLE.slice(1)
        yield TABLE.slice(1)

    assert write_tables(path, tables()) == first
    assert read_part(first[0]) == TABLE


def test_no_tables_are_a_file_too(tmp_path: Path) -> None:
    assert write_tables(str(tmp_path / "none"), []) == []
    assert (tmp_path / "none").read_bytes() == b""


def test_a_worker_that_dies_leaves_no_file(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        yield TABLE
        raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        write_tables(str(tmp_path / "tables"), tables())
    assert not (tmp_path / "tables").exists()
