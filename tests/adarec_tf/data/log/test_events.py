"""Event types: against slow loops, and by hand."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.preprocessing import order_part
from adarec_tf.data.log.encoded import (
    LOG_SCHEMA,
    ORDERED_SCHEMA,
    WEIGHT_FIELD,
    distinct_keys,
    encode_items,
)
from adarec_tf.data.log.events import NO_EVENTS, EventOptions, resolve_events, select_events
from tests.adarec_tf.data.coded_rows import EventRow, Row, as_event_log, coded_table
from tests.references import sequences as reference
from tests.strategies import event_interactions

REASON = "interactions_of_other_events"
COUNTS = {"buy": 2, "cart": 5, "view": 1000}


def config(*events: str, repeats: str = "keep_first", **weights: float) -> DataConfig:
    return DataConfig(event_column="what", events=events, event_weights=weights, repeats=repeats)


def test_types_that_are_not_asked_for_go_and_are_counted() -> None:
    options = resolve_events(config("view", "buy"), COUNTS)
    assert options == EventOptions({"buy": 1, "cart": 0, "view": 1}, {REASON: 5})


def test_nothing_is_done_unless_types_are_asked_for() -> None:
    assert resolve_events(config(), COUNTS) == NO_EVENTS
    assert not NO_EVENTS.is_any_in_use
    assert NO_EVENTS.removed == {}


def test_every_type_asked_for_counts_nothing() -> None:
    options = resolve_events(config("buy", "cart", "view"), COUNTS)
    assert options.is_any_in_use
    assert options.removed == {REASON: 0}


def test_a_type_that_the_log_has_not_is_refused_with_those_it_has() -> None:
    message = (
        r"`events` should name event types of the log, which are 'view' \(1,000\), 'cart' \(5\), "
        r"'buy' \(2\)\. Received: 'View'\."
    )
    with pytest.raises(ValueError, match=message):
        resolve_events(config("buy", "View"), COUNTS)


def test_an_error_shows_the_most_frequent_of_many_types() -> None:
    counts = {f"type{number:02d}": number for number in range(1, 31)}
    with pytest.raises(ValueError, match=r"'type30' \(30\), .*'type11' \(11\) and 10 more\. Rec"):
        resolve_events(config("view"), counts)


def test_the_order_of_weights_is_what_counts() -> None:
    options = resolve_events(config(view=0.5, buy=30), COUNTS)
    assert options == EventOptions({"buy": 3, "cart": 2, "view": 1}, {REASON: 0})  # a cart weighs 1
    assert options.has_weights
    assert resolve_events(config("buy", "view", view=7), COUNTS).ranks == {
        "buy": 1,
        "cart": 0,
        "view": 2,
    }


def test_a_weight_of_nothing_is_a_filter() -> None:
    options = resolve_events(config(view=0, buy=1), COUNTS)
    assert options == resolve_events(config("buy", "cart"), COUNTS)
    assert options == EventOptions({"buy": 1, "cart": 1, "view": 0}, {REASON: 1000})
    assert not options.has_weights


def test_a_weight_of_a_type_that_the_log_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`event_weights` should name event types.*'sale'"):
        resolve_events(config(view=1, sale=3), COUNTS)


@settings(deadline=None, max_examples=50)
@given(event_interactions(), st.sets(st.sampled_from(["view", "cart", "buy"]), min_size=1))
def test_what_stays_agrees_with_the_reference(rows: list[EventRow], kept: set[str]) -> None:
    log, counts = as_event_log(rows), Counter(row[3] for row in rows)
    options = resolve_events(config(*sorted(kept)), {event: counts[event] for event in COUNTS})
    selected = select_events(log, options)
    assert selected.schema.equals(LOG_SCHEMA)
    expected = reference.of_events(rows, sorted(kept))
    assert [tuple(row.values())[:3] for row in selected.to_pylist()] == expected
    assert sum(options.removed.values()) == len(rows) - len(expected)
    arrivals = [place for place, row in enumerate(rows) if row[3] in kept]
    assert selected["arrival"].to_pylist() == arrivals


BOUGHT = "view", "view", "buy", "buy", "view", "buy", "cart", "view", "buy", "view"
HISTORY: list[EventRow] = [
    ("u", item, time, event)
    for time, (item, event) in enumerate(zip("abbbbacaac", BOUGHT, strict=True))
]


@pytest.mark.parametrize(
    ("repeats", "items", "times"),
    [
        ("drop_consecutive", "abacac", [0, 2, 5, 6, 8, 9]),
        ("keep_first", "bac", [2, 5, 6]),
        ("keep_last", "bca", [3, 6, 8]),
    ],
)
def test_the_heaviest_of_repeats_stays_by_hand(repeats: str, items: str, times: list[int]) -> None:
    found = shaped(HISTORY, repeats, {"view": 1, "cart": 2, "buy": 3})
    assert found == [("u", item, time) for item, time in zip(items, times, strict=True)]


def test_the_heaviest_of_rows_of_one_moment_stays_in_its_place() -> None:
    moment: list[EventRow] = [
        *[("u", "a", 5, "view"), ("u", "b", 5, "view"), ("u", "a", 5, "buy")],
        *[("u", "c", 5, "view"), ("u", "a", 5, "buy"), ("u", "b", 5, "view")],
    ]
    options = resolve_events(config(buy=2), {"buy": 2, "view": 4})
    log = coded_table(select_events(as_event_log(moment), options))
    assert log.interactions.schema.equals(ORDERED_SCHEMA.append(WEIGHT_FIELD))
    items = log.item_keys.take(log.interactions["item"].combine_chunks()).to_pylist()
    assert (items, log.num_duplicates) == (["b", "a", "c"], 3)
    assert log.interactions["weight"].to_pylist() == [1, 2, 1]
    # A filter alone leaves the first of them.
    options = resolve_events(config("buy", "view"), {"buy": 2, "view": 4})
    log = coded_table(select_events(as_event_log(moment), options))
    items = log.item_keys.take(log.interactions["item"].combine_chunks()).to_pylist()
    assert (items, log.num_duplicates) == (["a", "b", "c"], 3)


def shaped(
    rows: list[EventRow], repeats: str, weights: dict[str, float], gap: float = 0.0
) -> list[Row]:
    """What is left of a log by user, time and arrival."""
    counts = Counter(row[3] for row in rows)
    settings = config(repeats=repeats, **weights).replace(session_gap_seconds=gap)
    options = resolve_events(settings, {event: counts[event] for event in weights})
    log = select_events(as_event_log(rows), options)
    item_keys = distinct_keys(log["item_id"].chunks)
    keys, table, removed = order_part(encode_items(log, item_keys), settings, time_scale=1)
    assert table.schema.equals(ORDERED_SCHEMA)
    assert sum(options.removed.values()) + sum(removed.values()) == len(rows) - len(table)
    users = keys.take(table["user"].combine_chunks()).to_pylist()
    items = item_keys.take(table["item"].combine_chunks()).to_pylist()
    return list(zip(users, items, table["timestamp"].to_pylist(), strict=True))


WEIGHTS = st.fixed_dictionaries(
    {event: st.sampled_from([0.0, 1.0, 1.5, 4.0]) for event in ("view", "cart", "buy")}
)


@settings(deadline=None, max_examples=100)
@given(
    event_interactions(),
    st.sampled_from(["drop_consecutive", "keep_first", "keep_last"]),
    WEIGHTS,
    st.sampled_from([0.0, 2.0]),
)
def test_weighed_repeats_agree_with_the_reference(
    rows: list[EventRow], repeats: str, weights: dict[str, float], gap: float
) -> None:
    heavy = [row for row in rows if weights[row[3]] > 0]
    unique, kept = reference.weigh_repeats(heavy, repeats, weights)
    if gap:
        sessions = reference.sessions_of([row[:3] for row in unique], gap)
        of_sessions = [(*row, old[3]) for row, old in zip(sessions, unique, strict=True)]
        _, kept = reference.weigh_repeats(of_sessions, repeats, weights)
    expected = [row[:3] for row in sorted(kept, key=lambda row: (row[0], row[2]))]
    assert shaped(rows, repeats, weights, gap) == expected
