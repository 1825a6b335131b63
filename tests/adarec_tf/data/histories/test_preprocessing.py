"""Sessions and repeats: against slow loops, and by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.preprocessing import UserPart, order_part
from adarec_tf.data.log.encoded import ORDERED_SCHEMA, distinct_keys, encode_items
from tests.adarec_tf.data.coded_rows import as_log
from tests.references import sequences as reference
from tests.strategies import interactions

Row = tuple[str, str, int]
REPEATS = st.sampled_from(DataConfig.choices("repeats"))
GAPS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0])


def in_order(rows: list[Row]) -> list[Row]:
    """By key and time, in order of arrival where equal."""
    return sorted(rows, key=lambda row: (row[0], row[2]))


def expected(rows: list[Row], gap: float, repeats: str) -> list[Row]:
    unique = list(dict.fromkeys(rows))
    return reference.without_repeats(reference.sessions_of(unique, gap) if gap else unique, repeats)


def ordered(rows: list[Row], gap: float, repeats: str) -> tuple[UserPart, list[Row]]:
    """What the options leave, as it is and with keys."""
    log = as_log(rows)
    item_keys = distinct_keys(log["item_id"].chunks)
    config = DataConfig(session_gap_seconds=gap, repeats=repeats)
    part = order_part(encode_items(log, item_keys), config, time_scale=1)
    assert part.interactions.schema.equals(ORDERED_SCHEMA)
    users, items, times = (column.combine_chunks() for column in part.interactions.columns)
    keys = part.keys.take(users).to_pylist(), item_keys.take(items).to_pylist()
    return part, list(zip(*keys, times.to_pylist(), strict=True))


@settings(deadline=None, max_examples=50)
@given(interactions(), GAPS, REPEATS)
def test_options_agree_with_the_reference(rows: list[Row], gap: float, repeats: str) -> None:
    part, found = ordered(rows, gap, repeats)
    kept = expected(rows, gap, repeats)
    # Sessions 10, 11, ... would be sorted before 2 as text, but there are not so many.
    assert found == in_order(kept)
    unique = len(set(rows))
    removed = {"duplicate_interactions": len(rows) - unique}
    repeated = {} if repeats == "keep" else {"repeated_interactions": unique - len(kept)}
    assert part.removed == removed | repeated


@pytest.mark.parametrize(
    ("repeats", "items"),
    [
        ("keep", "abbacb"),
        ("drop_consecutive", "abacb"),
        ("keep_first", "abc"),
        ("keep_last", "acb"),
    ],
)
def test_repeats_that_stay_by_hand(repeats: str, items: str) -> None:
    _, found = ordered([("u", item, time) for time, item in enumerate("abbacb")], 0.0, repeats)
    assert [item for _, item, _ in found] == list(items)


def test_a_session_ends_after_a_longer_gap_only() -> None:
    far = 2**62
    rows = [("u", "a", time) for time in (-far, 0, 30, 61, 61 + far)] + [("v", "a", 61)]
    _, found = ordered(rows, 30.0, "keep")
    assert [key for key, _, _ in found] == ["u#1", "u#2", "u#2", "u#3", "u#4", "v#1"]
