import pyarrow as pa

from adarec_tf.data.histories.k_core import UserPairs, k_core_filter

SCHEMA = pa.schema([("user", pa.int32()), ("item", pa.int32())])


def pairs_of(*users: str) -> UserPairs:
    """Users and their items, as letters; in chunks of two interactions."""
    rows = [(user, ord(item) - ord("a")) for user, items in enumerate(users) for item in items]
    chunks = [
        pa.table([*map(list, zip(*rows[at : at + 2], strict=True))], schema=SCHEMA)
        for at in range(0, len(rows), 2)
    ]
    return UserPairs(len(users), lambda: pa.concat_tables(chunks))


# x is rare, so the last user is short; without it c is rare, and without c the user before short.
CHAIN = [pairs_of("ab", "abd", "abd"), pairs_of("dcx", "c")]


def core(rounds: int) -> tuple[list[list[bool]], list[bool], dict[str, int]]:
    users, items, removed = k_core_filter(
        CHAIN, 24, min_user_interactions=2, min_item_interactions=2, rounds=rounds
    )
    return [part.tolist() for part in users], items[:4].tolist(), removed


def test_one_round_is_one_pass_of_both_filters() -> None:
    users, items, removed = core(1)
    assert users == [[True, True, True], [True, False]]
    assert items == [True, True, True, True]
    assert removed == {
        "interactions_of_rare_items": 1,
        "users_with_short_histories": 1,
        "interactions_of_short_histories": 1,
    }


def test_the_core_is_found_round_by_round() -> None:
    users, items, removed = core(0)
    assert users == [[True, True, True], [False, False]]
    assert items == [True, True, False, True]
    assert removed["round_2_interactions_of_rare_items"] == 1
    assert removed["round_2_users_with_short_histories"] == 1
    # The round that finds nothing is not told.
    assert not any(name.startswith("round_3") for name in removed)
    assert core(2) == core(5) == core(0)
