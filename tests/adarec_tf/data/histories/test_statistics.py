import re
from typing import Any

import numpy as np
import pytest

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories.statistics import (
    add_counts,
    check_enough_is_left,
    count_part,
    count_repeats,
    data_fingerprint,
    summarize,
)
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from tests.strategies import flat_histories


def test_repeats_are_counted_within_a_history() -> None:
    assert count_repeats(flat_histories([[1, 2, 1, 1], [2, 3], []])) == 2


def test_seen_items_are_excluded_where_next_to_nobody_repeats() -> None:
    for option, num_repeats, expected in (
        ("auto", 1, "exclude"),
        ("auto", 2, "keep"),
        ("keep", 0, "keep"),
        ("exclude", 90, "exclude"),
    ):
        counts = {"num_training_interactions": 100, "num_repeats": num_repeats}
        found = summarize(counts, {}, ItemVocabulary(()), (), DataConfig(seen=option))
        assert found.seen == expected


def test_the_fingerprint_sees_content_and_not_parts() -> None:
    first = flat_histories([[1, 2, 3], [4, 5, 6]])
    parts = [count_part(first.take(np.array([row])), first) for row in (1, 0)]
    whole = count_part(first, first)
    assert add_counts(parts)["digest"] == whole["digest"]
    assert add_counts(parts)["num_interactions"] == whole["num_interactions"] == 6
    other = flat_histories([[1, 3, 2], [4, 5, 6]])
    assert count_part(other, other)["digest"] != whole["digest"]
    keys = ItemVocabulary(("a", "b")), ItemVocabulary(("a", "c"))
    prints = {data_fingerprint(whole["digest"], vocabulary) for vocabulary in keys}
    prints.add(data_fingerprint(whole["digest"], ItemVocabulary(("a", "b")), (7, 8)))
    assert len(prints) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in prints)


def test_statistics_are_those_of_the_training_histories() -> None:
    whole, train = flat_histories([[1, 1, 2], [2, 3, 4]]), flat_histories([[1, 1], [2]])
    vocabulary, config = ItemVocabulary(("a", "b", "c", "dé")), DataConfig(max_length=7)
    found = summarize(count_part(whole, train), {"x": 3}, vocabulary, (), config)
    assert (found.num_users, found.num_items, found.num_interactions) == (2, 4, 6)
    assert found.vocabulary_bytes == len("a\nb\nc\ndé\n".encode())
    assert found.repeat_share == pytest.approx(1 / 3, rel=1e-12)
    assert (found.seen, found.max_length, found.removed) == ("keep", 7, {"x": 3})
    nothing = summarize({}, {}, ItemVocabulary(()), (), config)
    assert (nothing.num_users, nothing.repeat_share) == (0, 0.0)


def lengths_of(lengths: list[int], **options: Any) -> tuple[int, str]:
    """The `max_length` and the windows of training histories that are so long."""
    train = flat_histories([[1] * length for length in lengths])
    config = DataConfig(**options)
    found = summarize(count_part(train, train), {}, ItemVocabulary(("a",)), (), config)
    return found.max_length, found.windows


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([3, 20], (20, "last")),
        ([*[20] * 18, 40], (20, "last")),  # 380 of 400
        ([*[20] * 17, 19, 40], (50, "last")),  # 379 of 399
        ([60, 20], (100, "last")),  # 70 of 80 are in the last 50
        ([150] * 3, (200, "last")),
        ([250], (200, "all")),
        ([], (20, "last")),
    ],
)
def test_the_fewest_items_that_hold_nearly_all_of_the_log(
    lengths: list[int], expected: tuple[int, str]
) -> None:
    assert lengths_of(lengths) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_length": 50}, (50, "all")),
        ({"max_length": 100}, (100, "last")),
        ({"max_length": 130}, (130, "last")),
        ({"windows": "all"}, (100, "all")),
        ({"max_length": 7, "windows": "last"}, (7, "last")),
    ],
)
def test_lengths_and_windows_that_are_given_stay(
    options: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert lengths_of([60, 20], **options) == expected


def test_a_log_with_too_little_left_is_refused_with_what_was_removed() -> None:
    def check(num_users: int, num_items: int, num_valid: int, num_test: int) -> None:
        vocabulary = ItemVocabulary(tuple("abcdefghi"[:num_items]))
        statistics = summarize({"num_users": num_users}, removed, vocabulary, (), DataConfig())
        check_enough_is_left(statistics, num_valid, num_test, DataConfig())

    removed: dict[str, int] = {"users_with_short_histories": 7}
    with pytest.raises(ValueError, match=r"0 users and 0 items.*7 users with short histories"):
        check(0, 0, 0, 0)
    with pytest.raises(ValueError, match="9 users and 1 items"):
        check(9, 1, 9, 9)
    with pytest.raises(ValueError, match=r"Received: 0 and 1; removed were 7 users with short"):
        check(9, 2, 0, 1)
    with pytest.raises(ValueError, match=r"Received: 1 and 0; .*`test_time_share`"):
        check(9, 2, 1, 0)
    check(1, 2, 1, 1)
    with pytest.raises(ValueError, match=r"short histories\. Bring a longer log \(users need"):
        check(0, 0, 0, 0)
    removed["interactions_of_other_events"] = 0
    with pytest.raises(ValueError, match=r"of other events\. Bring a longer log \(users need"):
        check(0, 0, 0, 0)
    removed["interactions_of_other_events"] = 900
    with pytest.raises(
        ValueError, match=r"events\. Let more event types stay \(`events`, `event_w"
    ):
        check(0, 0, 0, 0)
