from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.data.histories.histories import (
    SequenceStatistics,
    read_histories,
    read_statistics,
    split_halves,
    write_statistics,
)
from tests.references.examples import serialize_history
from tests.strategies import flat_histories


def test_halves_are_disjoint_complete_and_follow_the_user() -> None:
    histories = flat_histories([[n % 9 + 1] * (n % 4 + 1) for n in range(200)])
    halves = split_halves(histories)
    keys = [set(half.user_keys) for half in halves]
    assert not keys[0] & keys[1]
    assert keys[0] | keys[1] == set(histories.user_keys)
    assert min(map(len, keys)) > 60
    reordered = split_halves(histories.take(np.arange(199, -1, -1)))
    assert set(reordered[0].user_keys) == keys[0]


def test_histories_survive_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "Split-valid"
    folder.mkdir()
    rows = [(b"ann", [1, 2, 3], 4), (b"bob", [7], 2), ("zoë".encode(), [5, 5], 1)]
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "part-0.gz"), options) as writer:
        for key, items, target in rows:
            writer.write(serialize_history(key, items, target))
    histories = read_histories(str(tmp_path), "valid")
    assert list(histories.user_keys) == [key for key, _, _ in rows]
    assert [list(histories.history(row)) for row in range(3)] == [items for _, items, _ in rows]
    assert list(histories.targets) == [4, 2, 1]


def test_taken_histories_are_those_of_the_rows() -> None:
    histories = flat_histories([[1, 2], [], [3], [4, 5, 6]])
    taken = histories.take(np.array([3, 1, 0]))
    assert [list(taken.history(row)) for row in range(3)] == [[4, 5, 6], [], [1, 2]]
    assert list(taken.user_keys) == [b"u3", b"u1", b"u0"]
    assert histories.take(np.zeros(0, np.int64)).num_users == 0


def test_a_missing_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The test split should have files"):
        read_histories(str(tmp_path), "test")
    with pytest.raises(ValueError, match="one of train, valid, test"):
        read_histories(str(tmp_path), "dev")


def test_statistics_survive_the_disk_and_are_checked(tmp_path: Path) -> None:
    statistics = SequenceStatistics(
        num_users=3,
        num_items=7,
        num_interactions=9,
        removed={"duplicate_interactions": 1},
        repeat_share=0.25,
        seen="keep",
        max_length=5,
        data_fingerprint="abc",
    )
    write_statistics(str(tmp_path), statistics)
    assert read_statistics(str(tmp_path)) == statistics
    (tmp_path / "statistics.json").write_text("{}")
    with pytest.raises(ValueError, match="should have the keys"):
        read_statistics(str(tmp_path))
    with pytest.raises(ValueError, match=r"should hold statistics\.json"):
        read_statistics(str(tmp_path / "nowhere"))
