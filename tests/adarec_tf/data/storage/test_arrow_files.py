from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adarec_tf.data.storage.arrow_files import read_part, write_parts, write_tables

TABLE = pa.table({"key": ["b", "a", "c"], "value": [1, 2, 3]})


def test_rows_of_a_part_stay_in_their_order(tmp_path: Path) -> None:
    refs = write_parts(str(tmp_path / "parts"), TABLE, np.array([2, 0, 2]), 3)
    assert [read_part(ref)["key"].to_pylist() for ref in refs] == [["a"], [], ["b", "c"]]
    assert [ref.num_rows for ref in refs] == [1, 0, 2]
    assert read_part(refs[2], ["value"]).to_pydict() == {"value": [1, 3]}


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
