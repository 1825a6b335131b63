import binascii

import pyarrow as pa

from adarec_tf.data.log import encoded as encoded
from tests.adarec_tf.data.coded_rows import as_log

Row = tuple[str, str, int]


def ordered(rows: list[Row], order: list[int]) -> tuple[list[str], int]:
    """Items in the order of histories, of rows that come in another order."""
    log = as_log(rows).take(pa.array(order, pa.int64()))
    users, items = (encoded.distinct_keys(log[name].chunks) for name in ("user_id", "item_id"))
    coded = encoded.encode_users(encoded.encode_items(log, items), users)
    interactions = encoded.order_by_time(coded)
    assert interactions.schema.equals(encoded.ORDERED_SCHEMA)
    return items.take(interactions["item"].combine_chunks()).to_pylist(), len(rows) - len(
        interactions
    )


def test_ties_in_time_are_decided_by_arrival_and_not_by_row_order() -> None:
    rows = [("u", "b", 5), ("u", "a", 5), ("u", "c", 1)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        assert ordered(rows, order) == (["c", "b", "a"], 0)


def test_of_duplicates_the_first_to_arrive_stays() -> None:
    rows = [
        *[("u", "c", 1), ("u", "b", 1), ("u", "a", 1), ("u", "c", 1), ("u", "a", 1)],
        *[("v", "c", 1), ("u", "c", 2), ("u", "c", 2), ("u", "c", 1)],
    ]
    expected = ["c", "b", "a", "c", "c"]
    assert ordered(rows, list(range(9))) == (expected, 4)
    assert ordered(rows, [8, 4, 2, 6, 0, 7, 1, 3, 5]) == (expected, 4)


def test_an_empty_log_stays_empty() -> None:
    assert ordered([], []) == ([], 0)


def test_keys_are_distinct_and_in_the_order_of_their_bytes() -> None:
    parts = [pa.array(["zoë", "b", "b"]), pa.array([], pa.string()), pa.array(["é", "a", "zoë"])]
    assert encoded.distinct_keys(parts).to_pylist() == ["a", "b", "zoë", "é"]
    assert encoded.distinct_keys([]).to_pylist() == []


def test_partitions_keep_users_together_and_do_not_change() -> None:
    # A change here would move users to other shards of existing artifacts.
    keys = ["ann", "bob", "ann", "zoë", "bob", "a much longer key than the others", ""]
    partitions = encoded.partition_users(pa.array(keys), 8)
    assert partitions.tolist() == [binascii.crc32(key.encode()) % 8 for key in keys]
    assert partitions.tolist()[:5] == [3, 0, 3, 4, 0]
    part = pa.array(keys).slice(3, 3)
    assert encoded.partition_users(part, 8).tolist() == partitions[3:6].tolist()
    assert len(encoded.partition_users(pa.array([], pa.string()), 8)) == 0


def test_users_are_cut_into_parts_in_the_order_of_their_rows() -> None:
    log = as_log([("ann", "b", 1), ("bob", "a", 2), ("zoë", "c", 3), ("ann", "a", 4)])
    parts = list(encoded.cut_by_user(log, 8))
    assert [len(part) for part in parts] == [1, 0, 0, 2, 1, 0, 0, 0]
    assert parts[3]["item_id"].to_pylist() == ["b", "a"]
    assert all(part.schema.equals(log.schema) for part in parts)


def test_the_number_of_partitions_grows_with_the_log() -> None:
    assert encoded.count_partitions(1) == encoded.count_partitions(8 << 20) == 8
    assert encoded.count_partitions((8 << 20) + 1) == 9
    assert encoded.count_partitions(200 << 20) == 200
