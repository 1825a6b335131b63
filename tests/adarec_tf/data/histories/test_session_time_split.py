"""Sessions in periods: against slow loops."""

from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.histories import splits as sequences
from adarec_tf.data.histories.global_time_split import TimeCuts
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.session_time_split import split_sessions, training_interactions
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from tests.adarec_tf.data.coded_rows import coded, vocabulary_of
from tests.references import sequences as reference
from tests.strategies import interactions

Row = tuple[str, str, int]


def decoded(histories: Histories, vocabulary: ItemVocabulary) -> dict[str, list[str]]:
    return {
        key.decode(): vocabulary.decode(histories.history(user))
        for user, key in enumerate(histories.user_keys)
    }


def with_targets(histories: Histories, vocabulary: ItemVocabulary) -> dict:
    targets = vocabulary.decode(histories.targets)
    items = decoded(histories, vocabulary)
    return {user: (items[user], target) for user, target in zip(items, targets, strict=True)}


@settings(deadline=None, max_examples=50)
@given(interactions(), st.integers(-5, 5), st.integers(0, 5))
def test_splits_agree_with_the_reference(rows: list[Row], valid: int, length: int) -> None:
    rows = list(dict.fromkeys(rows))  # a log comes without duplicates
    cuts, log = TimeCuts(valid, valid + length), coded(rows)
    vocabulary = vocabulary_of(training_interactions(log.interactions, cuts), log.item_keys)
    histories = sequences.to_histories(
        log.interactions, log.user_keys, vocabulary.encode(log.item_keys)
    )
    splits, removed = split_sessions(histories, log.interactions["timestamp"].to_numpy(), cuts)
    expected = reference.split_sessions_in_time(rows, *cuts)
    assert list(vocabulary.keys) == expected.vocabulary
    assert decoded(splits.train, vocabulary) == expected.train
    assert with_targets(splits.valid, vocabulary) == expected.valid
    assert with_targets(splits.test, vocabulary) == expected.test
    assert removed == expected.removed
    assert not splits.train.targets.any()
