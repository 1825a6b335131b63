"""Event types: against slow loops, and by hand."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.config import DataConfig
from adarec_tf.data.coded_log import LOG_SCHEMA
from adarec_tf.data.events import NO_EVENTS, EventOptions, resolve_events, select_events
from tests.adarec_tf.data.coded_rows import EventRow, as_event_log
from tests.references import sequences as reference
from tests.strategies import event_interactions

COUNTS = {"buy": 2, "cart": 5, "view": 1000}


def config(*events: str) -> DataConfig:
    return DataConfig(event_column="what", events=events)


def test_types_that_are_not_asked_for_go_and_are_counted() -> None:
    options = resolve_events(config("view", "buy"), COUNTS)
    assert options == EventOptions({"buy": 1, "cart": 0, "view": 1}, 5)
    assert options.removed == {"interactions_of_other_events": 5}


def test_nothing_is_done_unless_types_are_asked_for() -> None:
    assert resolve_events(config(), COUNTS) == NO_EVENTS
    assert not NO_EVENTS.is_any_in_use
    assert NO_EVENTS.removed == {}


def test_every_type_asked_for_counts_nothing() -> None:
    options = resolve_events(config("buy", "cart", "view"), COUNTS)
    assert options.is_any_in_use
    assert options.removed == {"interactions_of_other_events": 0}


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


@settings(deadline=None, max_examples=50)
@given(event_interactions(), st.sets(st.sampled_from(["view", "cart", "buy"]), min_size=1))
def test_what_stays_agrees_with_the_reference(rows: list[EventRow], kept: set[str]) -> None:
    log, counts = as_event_log(rows), Counter(row[3] for row in rows)
    options = resolve_events(config(*sorted(kept)), {event: counts[event] for event in COUNTS})
    selected = select_events(log, options)
    assert selected.schema.equals(LOG_SCHEMA)
    expected = reference.of_events(rows, sorted(kept))
    assert [tuple(row.values())[:3] for row in selected.to_pylist()] == expected
    assert options.num_removed == len(rows) - len(expected)
    arrivals = [place for place, row in enumerate(rows) if row[3] in kept]
    assert selected["arrival"].to_pylist() == arrivals
