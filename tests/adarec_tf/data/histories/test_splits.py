from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.histories import splits as sequences
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.k_core import UserPairs, k_core_filter, keep
from adarec_tf.data.histories.statistics import count_repeats
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from tests.adarec_tf.data.coded_rows import coded, vocabulary_of
from tests.references import sequences as reference
from tests.strategies import flat_histories, interactions

Row = tuple[str, str, int]


class Result(NamedTuple):
    histories: Histories
    splits: sequences.Splits
    vocabulary: ItemVocabulary
    removed: dict[str, int]


def run_steps(rows: list[Row], min_items: int, min_users: int, rounds: int = 1) -> Result:
    log = coded(rows)
    core = k_core_filter(
        [UserPairs(len(log.user_keys), lambda: log.interactions)],
        len(log.item_keys),
        min_user_interactions=min_users,
        min_item_interactions=min_items,
        rounds=rounds,
    )
    kept = keep(log.interactions, core.users[0], core.items)
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
        share = count_repeats(train) / len(train.item_ids)
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


def test_a_history_too_short_to_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 3 items.*a history of 2"):
        sequences.split_leave_one_out(flat_histories([[1, 2, 3], [1, 2]]))
