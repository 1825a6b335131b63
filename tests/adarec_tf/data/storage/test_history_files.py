from pathlib import Path

import numpy as np
import pytest

from adarec_tf.data.histories.histories import SPLITS, read_histories
from adarec_tf.data.histories.splits import Splits
from adarec_tf.data.storage.history_files import write_shard
from adarec_tf.data.storage.manifest import write_manifest
from tests.strategies import flat_histories


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two shards: of two parts, and of none."""
    for split in SPLITS:
        (tmp_path / f"Split-{split}").mkdir()
    first, second = (flat_histories(rows) for rows in ([[1, 2], [3]], [[4, 5, 6]]))
    train = first._replace(targets=np.zeros(2, np.int64))
    parts = [Splits(train, first, first), Splits(second, second, second)]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shards = [
        *write_shard(str(tmp_path), 0, 2, parts, str(scratch)),
        *write_shard(str(tmp_path), 1, 2, [], str(scratch)),
    ]
    scratch.rmdir()  # nothing is left in it
    write_manifest(str(tmp_path), shards)
    assert [shard.num_histories for shard in shards] == [3, 3, 3, 0, 0, 0]
    return tmp_path


def test_parts_follow_each_other_in_a_shard(directory: Path) -> None:
    histories = read_histories(str(directory), "train")
    assert list(histories.item_ids) == [1, 2, 3, 4, 5, 6]
    assert list(histories.row_splits) == [0, 2, 3, 6]
    assert list(histories.targets) == [0, 0, 1]


def test_a_damaged_shard_is_an_error_that_names_it(directory: Path) -> None:
    shard = directory / "Split-valid" / "part-00000-of-00002.gz"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(
        ValueError, match=r"Split-valid/part-00000-of-00002\.gz should have the SHA"
    ):
        read_histories(str(directory), "valid")
    assert read_histories(str(directory), "test").num_users == 3


def test_a_missing_and_an_unknown_shard_are_errors_that_name_them(directory: Path) -> None:
    shard = directory / "Split-train" / "part-00001-of-00002.gz"
    shard.rename(shard.with_name("other.gz"))
    with pytest.raises(ValueError, match=r"missing.*part-00001-of-00002.*not listed.*other\.gz"):
        read_histories(str(directory), "train")
