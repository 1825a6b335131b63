from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adarec_tf.data.log.encoded import CODED_SCHEMA
from adarec_tf.data.storage import user_partitions
from adarec_tf.data.storage.arrow_files import PartRef, read_parts, write_parts
from adarec_tf.data.storage.user_partitions import Partition, count_partitions, sort_partition

NUM_ITEMS = 5


def make_rows(num_rows: int, giant_share: float, num_times: int) -> pa.Table:
    """A log of which one user has a share and seven others the rest."""
    rng = np.random.default_rng(0)
    users = np.where(rng.random(num_rows) < giant_share, 3, rng.integers(0, 8, num_rows))
    return pa.table(
        [
            [f"u{user}" for user in users],
            rng.integers(0, NUM_ITEMS, num_rows),
            rng.integers(0, num_times, num_rows),
            rng.permutation(num_rows),
        ],
        schema=CODED_SCHEMA,
    )


def write_blocks(folder: Path, log: pa.Table, num_blocks: int) -> list[PartRef]:
    folder.mkdir()
    numbers = np.arange(len(log)) % num_blocks
    return write_parts(str(folder / "blocks"), log, numbers, num_blocks)


def sort(folder: Path, log: pa.Table, num_blocks: int, max_rows: int) -> Partition:
    blocks = write_blocks(folder, log, num_blocks)
    return sort_partition(0, blocks[::-1], str(folder), max_rows)


def rows_of(partition: Partition) -> list[dict]:
    return pa.concat_tables(read_parts(partition.chunks)).to_pylist()


@pytest.mark.parametrize("num_times", [1, 7, 10**6], ids=["one moment", "many ties", "no ties"])
def test_a_user_larger_than_memory_is_sorted_in_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_times: int
) -> None:
    log = make_rows(4000, 0.9, num_times)
    expected = sort(tmp_path / "whole", log, 1, max_rows=4000)
    held = []
    order = user_partitions.order_by_time
    monkeypatch.setattr(
        user_partitions,
        "order_by_time",
        lambda block, keys: held.append(len(block)) or order(block, keys),
    )
    partition = sort(tmp_path / "parts", log, 13, max_rows=300)
    assert rows_of(partition) == rows_of(expected)
    assert partition.removed == expected.removed
    assert sum(held) == 4000
    # Nobody can cut a moment, and seven moments hold 500 rows each.
    assert max(held) <= {1: 4000, 7: 600, 10**6: 300}[num_times]


@pytest.mark.parametrize("max_rows", [4000, 300], ids=["at once", "in ranges"])
def test_the_order_of_the_blocks_changes_no_byte(tmp_path: Path, max_rows: int) -> None:
    blocks = write_blocks(tmp_path / "blocks", make_rows(2000, 0.9, 50), 7)
    found = []
    for name, order in (("a", blocks), ("b", blocks[::-1])):
        (tmp_path / name).mkdir()
        sort_partition(0, order, str(tmp_path / name), max_rows)
        found.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert found[0] == found[1]


def test_a_partition_without_rows_has_no_users(tmp_path: Path) -> None:
    partition = sort(tmp_path / "empty", CODED_SCHEMA.empty_table(), 3, max_rows=10)
    assert partition.num_users == 0
    assert list(read_parts(partition.chunks)) == []


def test_whole_users_are_cut_at_users_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_partitions, "_CHUNK_ROWS", 100)
    partition = sort(tmp_path / "whole", make_rows(3000, 0.5, 10**6), 4, max_rows=10**4)
    assert max(chunk.num_rows for chunk in partition.chunks) == 100
    tables = list(user_partitions.read_whole_users(read_parts(partition.chunks)))
    assert pa.concat_tables(tables).to_pylist() == rows_of(partition)
    assert len(tables) > 4
    users = [set(table["user"].to_pylist()) for table in tables]
    assert sum(map(len, users)) == len(set.union(*users)) == 8
    # Only what ends a chunk and who goes on in the next are together.
    assert sorted(map(len, tables))[-2] < 500


def test_the_number_of_partitions_grows_with_the_log() -> None:
    assert count_partitions(1) == count_partitions(8 << 20) == 8
    assert count_partitions((8 << 20) + 1) == 9
    assert count_partitions(200 << 20) == 200
