import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.examples import (
    Histories,
    SequenceStatistics,
    bucket_length,
    masked_item_batches,
    next_item_batches,
    pad_rows,
    read_histories,
    read_statistics,
    serialize_history,
    split_halves,
    target_batches,
    write_statistics,
)

HISTORIES = st.lists(st.lists(st.integers(1, 9), min_size=0, max_size=20), min_size=1, max_size=12)


def _histories(rows: list[list[int]]) -> Histories:
    keys = np.array([f"u{row}".encode() for row in range(len(rows))], object)
    flat = np.array([item for row in rows for item in row], np.int64)
    splits = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return Histories(keys, flat, splits, np.ones(len(rows), np.int64))


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.integers(1, 24), st.integers(0, 3))
def test_an_epoch_holds_every_next_item_of_every_history_once(
    rows: list[list[int]], max_length: int, epoch: int
) -> None:
    pairs = []
    for batch in next_item_batches(
        _histories(rows), max_length=max_length, positions_per_batch=32, seed=1, epoch=epoch
    ):
        assert batch.item_ids.shape == batch.labels.shape
        assert np.all((batch.item_ids != 0) == (batch.labels != 0))
        for items, labels in zip(batch.item_ids, batch.labels, strict=True):
            real = items != 0
            pairs.append((tuple(items[real]), tuple(labels[real])))
    expected = [
        (tuple(row[:-1][-max_length:]), tuple(row[1:][-max_length:]))
        for row in rows
        if len(row) > 1
    ]
    assert sorted(pairs) == sorted(expected)


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.integers(1, 24), st.integers(0, 3))
def test_windows_of_whole_histories_hold_every_next_item_once(
    rows: list[list[int]], max_length: int, epoch: int
) -> None:
    # Distinct items, so that a pair says where it stands.
    distinct = [
        [100 * user + place + 1 for place in range(len(row))] for user, row in enumerate(rows)
    ]
    pairs = []
    for batch in next_item_batches(
        _histories(distinct),
        max_length=max_length,
        positions_per_batch=32,
        seed=1,
        epoch=epoch,
        windows="all",
    ):
        is_real = batch.labels != 0
        np.testing.assert_array_equal(is_real, batch.item_ids != 0)
        pairs += zip(batch.item_ids[is_real], batch.labels[is_real], strict=True)
    expected = [pair for row in distinct for pair in itertools.pairwise(row)]
    assert sorted(pairs) == sorted(expected)


def test_windows_are_cut_elsewhere_in_every_epoch() -> None:
    histories = _histories([list(range(1, 51))])

    def first_items(epoch: int) -> list[int]:
        batches = next_item_batches(
            histories, max_length=10, positions_per_batch=10, seed=1, epoch=epoch, windows="all"
        )
        return sorted(int(batch.item_ids.max(axis=1)[0]) for batch in batches)

    assert len({tuple(first_items(epoch)) for epoch in range(6)}) > 1


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.integers(2, 24), st.sampled_from(["last", "all"]))
def test_masked_rows_are_the_histories_with_their_labels_hidden(
    rows: list[list[int]], max_length: int, windows: str
) -> None:
    histories = _histories(rows)
    last_items = []
    for batch in masked_item_batches(
        histories,
        max_length=max_length,
        positions_per_batch=32,
        seed=1,
        epoch=0,
        windows=windows,
        mask_id=99,
        mask_probability=0.3,
    ):
        assert batch.item_ids.shape[1] <= max_length
        np.testing.assert_array_equal(batch.item_ids == 99, batch.labels != 0)
        whole = np.where(batch.labels != 0, batch.labels, batch.item_ids)
        assert np.all(batch.labels[:, -1] != 0)
        for row in whole:
            items = list(row[row != 0])
            assert any(
                items == history[start : start + len(items)]
                for history in rows
                for start in range(len(history))
            )
        last_items += list(whole[:, -1])
    if windows == "last":
        assert sorted(last_items) == sorted(row[-1] for row in rows if len(row) > 1)


def test_the_order_follows_seed_and_epoch_alone() -> None:
    histories = _histories([[1, 2, 3]] * 3 + [[4, 5, 6, 7, 8, 9]] * 9 + [[1, 9] * 6] * 9)

    def order(seed: int, epoch: int) -> list[bytes]:
        arguments = {"max_length": 12, "positions_per_batch": 12, "seed": seed, "epoch": epoch}
        return [batch.item_ids.tobytes() for batch in next_item_batches(histories, **arguments)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.integers(1, 24))
def test_every_target_row_comes_once_with_its_last_items(
    rows: list[list[int]], max_length: int
) -> None:
    seen = []
    for users, item_ids in target_batches(
        _histories(rows), max_length=max_length, positions_per_batch=32
    ):
        for user, items in zip(users, item_ids, strict=True):
            seen.append(user)
            assert list(items[items != 0]) == rows[user][-max_length:]
            assert items.shape[0] <= max_length
    assert sorted(seen) == list(range(len(rows)))


def test_rows_are_padded_on_the_left() -> None:
    padded = pad_rows(_histories([[1, 2, 3], [4]]), np.array([0, 1]), 2)
    np.testing.assert_array_equal(padded, [[2, 3], [0, 4]])


@pytest.mark.parametrize(
    ("longest", "max_length", "expected"),
    [(1, 50, 4), (4, 50, 4), (5, 50, 8), (33, 50, 48), (49, 50, 50), (99, 50, 50), (3, 2, 2)],
)
def test_bucket_lengths(longest: int, max_length: int, expected: int) -> None:
    assert bucket_length(longest, max_length) == expected


def test_halves_are_disjoint_complete_and_follow_the_user() -> None:
    histories = _histories([[n % 9 + 1] * (n % 4 + 1) for n in range(200)])
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
