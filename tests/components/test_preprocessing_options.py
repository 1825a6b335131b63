"""The options of the preprocessing: sessions, repeats, event types."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from tfx.types import standard_artifacts

from adarec_tf.config.data import DataConfig
from adarec_tf.data.storage.history_files import read_histories
from components import Sequences, Vocabulary
from components.sequence_preprocessor import SequencePreprocessor
from tests.adarec_tf.data.coded_rows import EventRow, as_event_log
from tests.components.preprocessing import (
    LOG,
    Row,
    contents,
    decoded,
    decoded_in_time,
    run,
    write_examples,
)
from tests.references import sequences as reference

VISITS: list[Row] = [
    *[("ann", item, time) for time, item in enumerate("abbac")],
    *[("ann", item, 100 + time) for time, item in enumerate("cabcb")],
    *[("bob", item, 50 + 9 * time) for time, item in enumerate("bcacba")],
    *[("cyd", item, 120 + time) for time, item in enumerate("acbb")],
    ("cyd", "a", 150),
]


def test_sessions_and_repeats_agree_with_the_reference(tmp_path: Path) -> None:
    options = {"session_gap_seconds": 10.0, "repeats": "drop_consecutive"}
    statistics = run(tmp_path, VISITS, 3, min_item_interactions=2, **options)
    rows = reference.without_repeats(reference.sessions_of(VISITS, 10), "drop_consecutive")
    histories, vocabulary, removed = reference.split_log(rows, 2, 3)
    assert set(histories) == {"ann#1", "ann#2", "bob#1", "cyd#1"}
    assert decoded(tmp_path) == histories
    assert removed["users_with_short_histories"] == 1  # cyd's second session
    assert statistics.removed == removed | {"repeated_interactions": 2}
    assert statistics.num_users == 4
    assert statistics.num_items == len(vocabulary)


def test_sessions_in_time_agree_with_the_reference(tmp_path: Path) -> None:
    options = {"session_gap_seconds": 0.01, "time_unit": "milliseconds", "split": "global_time"}
    statistics = run(tmp_path, VISITS, **options, test_time_share=0.2)
    kept, removed = reference.filter_log(reference.sessions_of(VISITS, 10), 1, 3)
    times = sorted(time for _, _, time in kept)
    expected = reference.split_sessions_in_time(kept, times[-8], times[-4])
    assert decoded_in_time(tmp_path) == expected._replace(removed={})
    assert statistics.removed == removed | expected.removed
    assert set(expected.valid) == {"ann#2"}
    assert set(expected.test) == {"cyd#1"}


SHOP: list[EventRow] = [
    *[("ann", item, time, "view") for time, item in enumerate("abcdcba")],
    *[("ann", item, 9 + time, "buy") for time, item in enumerate("cab")],
    *[("bob", "a", 0, "buy"), ("bob", "b", 3, "view"), ("bob", "c", 6, "buy")],
    *[("bob", "a", 9, "cart"), ("bob", "b", 12, "buy")],
    *[("cyd", item, time, "view") for time, item in enumerate("adad")],
    *[("dan", item, 20 - time, "buy") for time, item in enumerate("abcx")],
]


def test_a_log_of_some_events_is_one_without_the_others(tmp_path: Path) -> None:
    options = {"session_gap_seconds": 9.0, "repeats": "keep_first", "min_item_interactions": 2}
    events = {"event_column": "what", "events": ("buy", "cart")}
    found = run(tmp_path / "events", SHOP, 3, 3, **options, **events)
    rows = reference.of_events(SHOP, ["buy", "cart"])
    expected = run(tmp_path / "rows", rows, **options)
    num_views = len(SHOP) - len(rows)
    assert found == replace(
        expected, removed={"interactions_of_other_events": num_views} | expected.removed
    )
    before, after = contents(tmp_path / "rows"), contents(tmp_path / "events")
    changed = {name for name in before.keys() | after.keys() if before[name] != after[name]}
    assert changed == {"sequences/statistics.json"}
    train = read_histories(str(tmp_path / "events" / "sequences"), "train")
    assert set(train.user_keys) == {b"ann#1", b"bob#1", b"dan#1"}


@pytest.mark.parametrize("repeats", ["drop_consecutive", "keep_first", "keep_last"])
def test_weighed_repeats_agree_with_the_reference_whatever_the_workers(
    tmp_path: Path, repeats: str
) -> None:
    weights = {"view": 1.0, "cart": 2.0, "buy": 3.0}
    # Rows of one moment differ in what they are, and a user's rows do not fit.
    rows = [*SHOP, *[(user, item, time // 2, "view") for user, item, time, _ in SHOP]]
    options = {
        **{"event_column": "what", "event_weights": weights, "repeats": repeats},
        "min_item_interactions": 2,
    }
    statistics = run(tmp_path / "one", rows, **options)
    unique, kept = reference.weigh_repeats(rows, repeats, weights)
    histories, _, removed = reference.split_log([row[:3] for row in kept], 2, 3)
    assert decoded(tmp_path / "one") == histories
    assert statistics.removed == removed | {
        "interactions_of_other_events": 0,
        "duplicate_interactions": len(rows) - len(unique),
        "repeated_interactions": len(unique) - len(kept),
    }
    assert len(rows) > len(unique) > len(kept)
    run(tmp_path / "many", rows, 4, 3, **options)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_a_type_of_which_nothing_is_left_is_one_plain_error(tmp_path: Path) -> None:
    rows = [(*row, "view") for row in LOG] + [("ann", "a", 9, "buy")]
    with pytest.raises(ValueError, match=r"0 users and 0 items.*14 interactions of other events"):
        run(tmp_path, rows, event_column="what", events=("buy",))


def test_the_component_knows_the_event_types_of_its_examples(tmp_path: Path) -> None:
    examples, sequences, vocabulary = standard_artifacts.Examples(), Sequences(), Vocabulary()
    examples.uri, examples.split_names = str(tmp_path), '["all"]'
    write_examples(tmp_path / "Split-all", as_event_log(SHOP))
    counts = Counter(row[3] for row in SHOP)
    examples.set_string_custom_property("event_counts", json.dumps(counts))
    sequences.uri, vocabulary.uri = str(tmp_path / "sequences"), str(tmp_path / "vocabulary")

    def call(*events: str, session_gap_seconds: float = 0.0) -> None:
        config = DataConfig(
            event_column="what", events=events, session_gap_seconds=session_gap_seconds
        )
        SequencePreprocessor.test_call(
            examples=examples,
            sequences=sequences,
            vocabulary=vocabulary,
            data_config=config.to_json(),
            beam_pipeline=beam.Pipeline(runner="FnApiRunner"),
        )

    examples.set_float_custom_property("largest_time", 1.7e12)
    with pytest.raises(ValueError, match=r"`time_unit` should be that of the log's times"):
        call("buy", session_gap_seconds=60.0)
    with pytest.raises(ValueError, match=r"the log, which are 'view' .*Received: 'purchase'"):
        call("buy", "purchase")
    assert not (tmp_path / "sequences").exists()
    call("buy", "cart")
    removed = sequences.get_int_custom_property("removed_interactions_of_other_events")
    assert removed == counts["view"]
