import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.batches import (
    Batch,
    EpochBatches,
    bucket_length,
    masked_item_batches,
    next_item_batches,
    pad_item_sets,
    target_batches,
)
from tests.strategies import HISTORY_ROWS, flat_histories


@settings(max_examples=60, deadline=None)
@given(HISTORY_ROWS, st.integers(1, 24), st.integers(0, 3))
def test_an_epoch_holds_every_next_item_of_every_history_once(
    rows: list[list[int]], max_length: int, epoch: int
) -> None:
    pairs = []
    for batch in next_item_batches(
        flat_histories(rows), max_length=max_length, positions_per_batch=32, seed=1, epoch=epoch
    ):
        assert batch.item_ids.shape == batch.labels.shape
        assert np.all((batch.item_ids != 0) == (batch.labels != 0))
        # The place of a labeled position is where its item stands in the flat histories.
        np.testing.assert_array_equal(
            np.concatenate([*rows, []])[batch.places], batch.item_ids[batch.labels != 0]
        )
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
@given(HISTORY_ROWS, st.integers(1, 24), st.integers(0, 3))
def test_windows_of_whole_histories_hold_every_next_item_once(
    rows: list[list[int]], max_length: int, epoch: int
) -> None:
    # Distinct items, so that a pair says where it stands.
    distinct = [
        [100 * user + place + 1 for place in range(len(row))] for user, row in enumerate(rows)
    ]
    pairs = []
    for batch in next_item_batches(
        flat_histories(distinct),
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
    histories = flat_histories([list(range(1, 51))])

    def first_items(epoch: int) -> list[int]:
        batches = next_item_batches(
            histories, max_length=10, positions_per_batch=10, seed=1, epoch=epoch, windows="all"
        )
        return sorted(int(batch.item_ids.max(axis=1)[0]) for batch in batches)

    assert len({tuple(first_items(epoch)) for epoch in range(6)}) > 1


@settings(max_examples=60, deadline=None)
@given(HISTORY_ROWS, st.integers(2, 24), st.sampled_from(["last", "all"]))
def test_masked_rows_are_the_histories_with_their_labels_hidden(
    rows: list[list[int]], max_length: int, windows: str
) -> None:
    histories = flat_histories(rows)
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


@settings(max_examples=60, deadline=None)
@given(HISTORY_ROWS, st.integers(2, 24), st.sampled_from(["last", "all"]))
def test_batches_are_counted_before_they_are_made(
    rows: list[list[int]], max_length: int, windows: str
) -> None:
    options = {"max_length": max_length, "positions_per_batch": 16, "seed": 1, "epoch": 0}
    histories = flat_histories(rows)
    for batches in (
        next_item_batches(histories, windows=windows, **options),
        masked_item_batches(
            histories, windows=windows, mask_id=99, mask_probability=0.3, **options
        ),
    ):
        assert len(batches) == len([*batches])


@settings(max_examples=60, deadline=None)
@given(HISTORY_ROWS, st.integers(1, 4), st.booleans())
def test_the_parts_of_replicas_are_a_batch(
    rows: list[list[int]], count: int, is_masked: bool
) -> None:
    def batches() -> EpochBatches:
        options = {"max_length": 12, "positions_per_batch": 36, "seed": 1, "epoch": 0}
        histories = flat_histories(rows)
        if is_masked:
            return masked_item_batches(histories, mask_id=99, mask_probability=0.3, **options)
        return next_item_batches(histories, **options)

    def pairs(parts: list[Batch]) -> list[tuple[list[int], list[int]]]:
        return sorted(
            (ids.tolist(), labels.tolist())
            for batch in parts
            for ids, labels in zip(batch.item_ids, batch.labels, strict=True)
        )

    for whole, parts in zip(batches(), batches().for_replicas(range(count), count), strict=True):
        own = [part.batch for part in parts if part.share]
        assert pairs(own) == pairs([whole])
        assert sorted(np.concatenate([batch.places for batch in own])) == sorted(whole.places)
        for part in parts:
            assert part.num_labels == len(whole.places)
            assert len(part.batch.item_ids) > 0
            if part.share:
                assert part.share == pytest.approx(len(part.batch.places) / part.num_labels)


def test_a_replica_reads_its_own_part_of_a_log() -> None:
    generator = np.random.default_rng(1)
    rows = [list(generator.integers(1, 99, 8)) for _ in range(4000)]
    batches = next_item_batches(
        flat_histories(rows), max_length=8, positions_per_batch=1024, seed=1, epoch=0
    )
    places = [[], []]
    for parts in batches.for_replicas(range(2), 2):
        for number, part in enumerate(parts):
            places[number] += [*part.batch.places]
    first, second = map(np.array, places)
    middle = sum(map(len, rows)) / 2
    assert np.mean(first < middle) > 0.9
    assert np.mean(second >= middle) > 0.9
    # Each of them reads as much of every batch, and so a little of what is around the middle.
    assert first.max() < 1.4 * middle
    assert second.min() > 0.6 * middle


def test_the_order_follows_seed_and_epoch_alone() -> None:
    histories = flat_histories([[1, 2, 3]] * 3 + [[4, 5, 6, 7, 8, 9]] * 9 + [[1, 9] * 6] * 9)

    def order(seed: int, epoch: int) -> list[bytes]:
        arguments = {"max_length": 12, "positions_per_batch": 12, "seed": seed, "epoch": epoch}
        return [batch.item_ids.tobytes() for batch in next_item_batches(histories, **arguments)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@settings(max_examples=60, deadline=None)
@given(HISTORY_ROWS, st.integers(1, 24))
def test_every_target_row_comes_once_with_its_last_items(
    rows: list[list[int]], max_length: int
) -> None:
    seen = []
    for users, item_ids in target_batches(
        flat_histories(rows), max_length=max_length, positions_per_batch=32
    ):
        for user, items in zip(users, item_ids, strict=True):
            seen.append(user)
            assert list(items[items != 0]) == rows[user][-max_length:]
            assert items.shape[0] <= max_length
    assert sorted(seen) == list(range(len(rows)))


def test_rows_are_padded_on_the_left() -> None:
    histories = flat_histories([[1, 2, 3], [4, 5, 6, 7], [8]])
    batches = target_batches(histories, max_length=3, positions_per_batch=9)
    [(users, padded)] = batches
    assert list(users) == [2, 0, 1]
    np.testing.assert_array_equal(padded, [[0, 0, 8], [1, 2, 3], [5, 6, 7]])


@pytest.mark.parametrize(
    ("longest", "max_length", "expected"),
    [(1, 50, 4), (4, 50, 4), (5, 50, 8), (33, 50, 48), (49, 50, 50), (99, 50, 50), (3, 2, 2)],
)
def test_bucket_lengths(longest: int, max_length: int, expected: int) -> None:
    assert bucket_length(longest, max_length) == expected


@given(HISTORY_ROWS, st.data())
def test_sets_hold_each_item_of_a_history_once(rows: list[list[int]], data: st.DataObject) -> None:
    users = data.draw(st.permutations(range(len(rows))))[: data.draw(st.integers(1, len(rows)))]
    padded = pad_item_sets(flat_histories(rows), np.array(users))
    sets = [sorted(set(rows[user])) for user in users]
    length = max(map(len, sets))
    assert padded.tolist() == [[0] * (length - len(items)) + items for items in sets]
