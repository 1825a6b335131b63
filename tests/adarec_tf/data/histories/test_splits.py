import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.config.data import DataConfig
from adarec_tf.data.histories import splits as sequences
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.k_core import UserPairs, is_kept, k_core_filter
from adarec_tf.data.histories.vocabulary import PAD, ItemVocabulary
from tests.adarec_tf.data.coded_rows import coded, vocabulary_of
from tests.references import sequences as reference
from tests.strategies import interactions

Row = tuple[str, str, int]


class Result(NamedTuple):
    histories: Histories
    splits: sequences.Splits
    vocabulary: ItemVocabulary
    removed: dict[str, int]


def run_steps(rows: list[Row], min_items: int, min_users: int, rounds: int = 1) -> Result:
    log = coded(rows)
    users, items = (np.asarray(log.interactions[name]) for name in ("user", "item"))
    core = k_core_filter(
        [UserPairs(len(log.user_keys), lambda: [(users, items)])],
        len(log.item_keys),
        min_user_interactions=min_users,
        min_item_interactions=min_items,
        rounds=rounds,
    )
    kept = log.interactions.filter(pa.array(is_kept(users, items, core.users[0], core.items)))
    vocabulary = vocabulary_of(kept, log.item_keys)
    histories = sequences.to_histories(kept, log.user_keys, vocabulary.encode(log.item_keys))
    removed = {"duplicate_interactions": log.num_duplicates, **core.removed}
    return Result(histories, sequences.split_leave_one_out(histories), vocabulary, removed)


def decoded(splits: sequences.Splits, vocabulary: ItemVocabulary) -> dict:
    """The splits as the reference gives them, after checking that they tell the same story."""
    result = {}
    for user, key in enumerate(splits.train.user_keys):
        train, valid, test = (vocabulary.decode(split.history(user)) for split in splits)
        [valid_target] = vocabulary.decode([splits.valid.targets[user]])
        [test_target] = vocabulary.decode([splits.test.targets[user]])
        assert valid == train
        assert test == [*train, valid_target]
        result[key.decode()] = (train, valid_target, test_target)
    return result


@settings(deadline=None, max_examples=100)
@given(interactions(), st.integers(1, 4), st.integers(3, 5), st.integers(0, 3))
def test_steps_agree_with_the_reference(
    rows: list[Row], min_items: int, min_users: int, rounds: int
) -> None:
    result = run_steps(rows, min_items, min_users, rounds)
    histories, vocabulary, removed = reference.split_log(rows, min_items, min_users, rounds)
    assert list(result.vocabulary.keys) == vocabulary
    assert result.removed == removed
    assert decoded(result.splits, result.vocabulary) == histories
    users = [key.decode() for key in result.histories.user_keys]
    assert users == sorted(histories, key=str.encode)
    if histories:
        train = result.splits.train
        share = sequences.repeat_share(sequences.count_repeats(train), len(train.item_ids))
        expected = reference.repeat_share([items for items, _, _ in histories.values()])
        assert share == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(interactions(with_ties=False), st.randoms())
def test_input_order_never_changes_sequences(rows: list[Row], random: st.DataObject) -> None:
    expected = run_steps(rows, 1, 3)
    shuffled = list(rows)
    random.shuffle(shuffled)
    result = run_steps(shuffled, 1, 3)
    assert result.vocabulary == expected.vocabulary
    for ours, theirs in zip(result.histories, expected.histories, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def histories_of(*items: list[int]) -> Histories:
    lengths = [len(history) for history in items]
    return Histories(
        np.array([b"u%d" % user for user in range(len(items))], object),
        np.array([item for history in items for item in history], np.int64),
        np.cumsum([0, *lengths]),
        np.full(len(items), PAD),
    )


def test_a_history_too_short_to_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 3 items.*a history of 2"):
        sequences.split_leave_one_out(histories_of([1, 2, 3], [1, 2]))


def test_repeats_are_counted_within_a_history() -> None:
    assert sequences.count_repeats(histories_of([1, 2, 1, 1], [2, 3], [])) == 2
    assert sequences.repeat_share(0, 0) == 0


def test_seen_items_are_excluded_where_next_to_nobody_repeats() -> None:
    assert sequences.resolve_seen("auto", 0.01, 0.01) == "exclude"
    assert sequences.resolve_seen("auto", 0.02, 0.01) == "keep"
    assert sequences.resolve_seen("keep", 0.0, 0.01) == "keep"
    assert sequences.resolve_seen("exclude", 0.9, 0.01) == "exclude"


def test_the_fingerprint_sees_content_and_not_parts() -> None:
    first, second = histories_of([1, 2, 3], [4, 5, 6]), histories_of([1, 2, 3])
    rest = Histories(first.user_keys[1:], first.item_ids[3:], np.array([0, 3]), first.targets[1:])
    whole = sequences.digest_histories(first)
    parts = [sequences.digest_histories(part) for part in (rest, second)]
    assert sequences.add_digests(parts) == whole
    assert sequences.digest_histories(histories_of([1, 3, 2], [4, 5, 6])) != whole
    keys = ItemVocabulary(("a", "b")), ItemVocabulary(("a", "c"))
    prints = {sequences.data_fingerprint(whole, vocabulary) for vocabulary in keys}
    prints.add(sequences.data_fingerprint(whole, ItemVocabulary(("a", "b")), (7, 8)))
    assert len(prints) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in prints)


def test_a_log_with_nothing_left_is_refused_with_what_was_removed() -> None:
    removed = {"users_with_short_histories": 7}
    with pytest.raises(ValueError, match=r"0 users and 0 items.*7 users with short histories"):
        sequences.check_enough_is_left(0, 0, removed, DataConfig())
    with pytest.raises(ValueError, match="9 users and 1 items"):
        sequences.check_enough_is_left(9, 1, removed, DataConfig())
    sequences.check_enough_is_left(1, 2, removed, DataConfig())
