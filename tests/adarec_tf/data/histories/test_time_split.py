"""One cut in time for all users: against slow loops, and what it promises."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.splits import to_histories
from adarec_tf.data.histories.time_split import (
    TimeCuts,
    TimeSplit,
    find_time_cuts,
    split_in_time,
    training_interactions,
)
from adarec_tf.data.histories.value_counts import count_values
from adarec_tf.data.histories.vocabulary import UNKNOWN, ItemVocabulary
from tests.adarec_tf.data.coded_rows import coded, vocabulary_of
from tests.references import sequences as reference
from tests.strategies import interactions

Row = tuple[str, str, int]


def split(
    rows: list[Row], cuts: TimeCuts, has_sessions: bool = False
) -> tuple[TimeSplit, ItemVocabulary]:
    log = coded(rows)
    training = training_interactions(log.interactions, cuts, has_sessions)
    vocabulary = vocabulary_of(training, log.item_keys)
    histories = to_histories(log.interactions, log.user_keys, vocabulary.encode(log.item_keys))
    times = log.interactions["timestamp"].to_numpy()
    return split_in_time(histories, times, cuts, has_sessions), vocabulary


def decoded(histories: Histories, vocabulary: ItemVocabulary) -> dict[str, list[str]]:
    return {
        key.decode(): vocabulary.decode(histories.history(user))
        for user, key in enumerate(histories.user_keys)
    }


def with_targets(histories: Histories, vocabulary: ItemVocabulary) -> dict:
    targets = vocabulary.decode(histories.targets)
    items = decoded(histories, vocabulary)
    return {user: (items[user], target) for user, target in zip(items, targets, strict=True)}


@settings(deadline=None, max_examples=100)
@given(interactions(), st.sampled_from([0.05, 0.1, 0.15, 0.25, 0.4]))
def test_splits_agree_with_the_reference(rows: list[Row], share: float) -> None:
    assume(rows)
    rows = list(dict.fromkeys(rows))  # a log comes without duplicates
    counts = count_values(np.array([time for _, _, time in rows], np.int64))
    cuts = find_time_cuts(counts, share)
    num_test = math.ceil(share * len(rows) - 1e-9)
    num_valid = math.ceil(2 * share * len(rows) - 1e-9)
    expected = reference.split_in_time(rows, num_valid, num_test)
    (splits, removed), vocabulary = split(rows, cuts)
    assert list(vocabulary.keys) == expected.vocabulary
    assert decoded(splits.train, vocabulary) == expected.train
    assert with_targets(splits.valid, vocabulary) == expected.valid
    assert with_targets(splits.test, vocabulary) == expected.test
    assert removed == expected.removed


def test_the_target_is_the_first_of_the_period_and_the_history_ends_before_it() -> None:
    rows = [("u", item, time) for time, item in enumerate("abacbabc")]
    (splits, removed), vocabulary = split(rows, TimeCuts(valid=4, test=6))
    assert decoded(splits.train, vocabulary) == {"u": list("abac")}
    assert with_targets(splits.valid, vocabulary) == {"u": (list("abac"), "b")}
    assert with_targets(splits.test, vocabulary) == {"u": (list("abacba"), "b")}
    assert removed["interactions_in_no_split"] == 1
    assert sum(removed.values()) == 1


def test_who_cannot_be_ranked_is_counted() -> None:
    rows = [
        *[("old", item, time) for time, item in enumerate("abab")],
        ("old", "new", 8),  # a target that training does not know
        ("between", "a", 5),
        ("between", "new", 6),  # left out of its history
        ("between", "b", 9),
        ("late", "a", 8),  # no history
        ("late", "b", 9),
    ]
    (splits, removed), vocabulary = split(rows, TimeCuts(valid=4, test=8))
    assert vocabulary.keys == ("a", "b")
    assert decoded(splits.train, vocabulary) == {"old": list("abab")}
    assert splits.valid.num_users == 0
    assert with_targets(splits.test, vocabulary) == {"between": (["a"], "b")}
    assert removed == {
        "valid_users_without_history": 1,
        "valid_targets_unknown_in_training": 0,
        "test_users_without_history": 1,
        "test_targets_unknown_in_training": 1,
        "interactions_in_no_split": 4,
    }
    assert UNKNOWN not in splits.test.item_ids


@pytest.mark.parametrize(
    ("times", "valid", "test"),
    [
        (range(10), 6, 8),  # 40% and 20% exactly
        ([*range(9), *[9] * 9], 9, 9),  # equal times stay together: no validation period is left
        ([5], 5, 5),
    ],
)
def test_cuts_leave_at_least_the_shares_behind(times: list[int], valid: int, test: int) -> None:
    counts = count_values(np.array(times, np.int64))
    cuts = find_time_cuts(counts, 0.2)
    assert cuts == TimeCuts(valid, test)


@settings(deadline=None, max_examples=50)
@given(interactions(), st.integers(-5, 5), st.integers(0, 5))
def test_splits_of_sessions_agree_with_the_reference(
    rows: list[Row], valid: int, length: int
) -> None:
    rows = list(dict.fromkeys(rows))  # a log comes without duplicates
    cuts = TimeCuts(valid, valid + length)
    (splits, removed), vocabulary = split(rows, cuts, has_sessions=True)
    expected = reference.split_sessions_in_time(rows, *cuts)
    assert list(vocabulary.keys) == expected.vocabulary
    assert decoded(splits.train, vocabulary) == expected.train
    assert with_targets(splits.valid, vocabulary) == expected.valid
    assert with_targets(splits.test, vocabulary) == expected.test
    assert removed == expected.removed
    assert not splits.train.targets.any()
