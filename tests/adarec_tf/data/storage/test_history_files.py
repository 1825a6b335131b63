import json
import mmap
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.storage import history_files
from adarec_tf.data.storage.history_files import (
    MANIFEST_FILE,
    SPLITS,
    read_histories,
    read_statistics,
    write_manifest,
    write_shard,
    write_statistics,
)
from tests.strategies import HISTORY_ROWS, flat_histories


def without_targets(histories: Histories) -> Histories:
    return histories._replace(targets=np.zeros(histories.num_users, np.int64))


def write(folder: Path, *parts: Histories) -> None:
    """Shards of these histories, as each split."""
    for split in SPLITS:
        (folder / f"Split-{split}").mkdir(parents=True)
    scratch = folder / "scratch"
    scratch.mkdir()
    shards = []
    for number, part in enumerate(parts):
        splits = Splits(without_targets(part), part, part)
        shards += write_shard(str(folder), number, len(parts), splits, str(scratch))
    scratch.rmdir()  # nothing is left in it
    write_manifest(str(folder), shards)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two shards, one of them of nobody."""
    write(tmp_path, flat_histories([[1, 2], [3], [4, 5, 6]]), flat_histories([]))
    return tmp_path


@settings(deadline=None, max_examples=20)
@given(HISTORY_ROWS)
def test_histories_survive_the_disk(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]]
) -> None:
    histories, folder = flat_histories(rows), tmp_path_factory.mktemp("histories")
    histories.user_keys[0] = "zoë".encode()
    write(folder, histories, flat_histories([[7]]))
    found = read_histories(str(folder), "test")
    first = found.take(np.arange(len(rows)))
    for ours, theirs in zip(first, histories, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert list(found.history(len(rows))) == [7]
    assert not read_histories(str(folder), "train").targets.any()


def test_a_shard_is_a_parquet_file_that_others_can_read(directory: Path) -> None:
    tables = {
        split: pyarrow.parquet.read_table(
            directory / f"Split-{split}" / "part-00000-of-00002.parquet"
        ).to_pydict()
        for split in ("train", "valid")
    }
    users = {"user_id": [b"u0", b"u1", b"u2"], "history": [[1, 2], [3], [4, 5, 6]]}
    assert tables == {"train": users, "valid": {**users, "target": [1, 1, 1]}}


def test_equal_histories_are_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_files, "_ROW_GROUP", 3)
    histories = flat_histories([[row, row + 1] for row in range(1, 11)])
    longer = flat_histories([[9, 9], *([row, row + 1] for row in range(1, 11))])
    write(tmp_path / "a", histories)
    rest = longer.take(np.arange(1, 11))._replace(user_keys=histories.user_keys)
    write(tmp_path / "b", rest)
    for name in ("Split-train", "Split-test"):
        [first], [second] = ((tmp_path / side / name).iterdir() for side in "ab")
        assert first.read_bytes() == second.read_bytes()
    assert pyarrow.parquet.ParquetFile(first).num_row_groups == 4


def test_items_are_mapped_from_a_file_that_needs_no_shard_any_more(directory: Path) -> None:
    found = read_histories(str(directory), "train")
    shutil.rmtree(directory)
    assert found.item_ids.tolist() == [1, 2, 3, 4, 5, 6]
    mapped = memoryview(found.item_ids.base)
    assert isinstance(mapped.obj, mmap.mmap)
    with pytest.raises(ValueError, match="read-only"):
        found.item_ids[0] = 7


def test_a_split_without_histories_has_no_items(tmp_path: Path) -> None:
    write(tmp_path, flat_histories([]))
    assert len(read_histories(str(tmp_path), "valid").item_ids) == 0


def test_a_damaged_shard_is_an_error_that_names_it(directory: Path) -> None:
    shard = directory / "Split-valid" / "part-00000-of-00002.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"part-00000-of-00002\.parquet should have the SHA"):
        read_histories(str(directory), "valid")
    assert read_histories(str(directory), "test").num_users == 3


def test_another_number_of_histories_is_an_error(directory: Path) -> None:
    manifest = directory / MANIFEST_FILE
    entries = json.loads(manifest.read_text())
    entries["Split-valid/part-00000-of-00002.parquet"]["num_histories"] = 4
    manifest.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"should hold 4 histories\. Received: 3"):
        read_histories(str(directory), "valid")


def test_a_missing_and_an_unknown_shard_are_errors_that_name_them(directory: Path) -> None:
    shard = directory / "Split-train" / "part-00001-of-00002.parquet"
    shard.rename(shard.with_name("other.parquet"))
    with pytest.raises(ValueError, match=r"missing.*part-00001-of-00002.*not listed.*other\."):
        read_histories(str(directory), "train")


def test_a_missing_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should hold shards\.json"):
        read_histories(str(tmp_path), "test")
    with pytest.raises(ValueError, match="one of train, valid, test"):
        read_histories(str(tmp_path), "dev")


def test_statistics_survive_the_disk_and_are_checked(tmp_path: Path) -> None:
    statistics = SequenceStatistics(
        num_users=3,
        num_items=7,
        vocabulary_bytes=1234,
        num_interactions=9,
        removed={"duplicate_interactions": 1},
        repeat_share=0.25,
        seen="keep",
        max_length=5,
        windows="all",
        data_fingerprint="abc",
    )
    write_statistics(str(tmp_path), statistics)
    assert read_statistics(str(tmp_path)) == statistics
    (tmp_path / "statistics.json").write_text("{}")
    with pytest.raises(ValueError, match="should have the keys"):
        read_statistics(str(tmp_path))
    with pytest.raises(ValueError, match=r"should hold statistics\.json"):
        read_statistics(str(tmp_path / "nowhere"))
