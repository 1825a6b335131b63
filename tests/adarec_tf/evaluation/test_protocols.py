"""The full-catalog protocol, against slow loops."""

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation import protocols
from adarec_tf.evaluation.protocols import EvaluationSplit, evaluate_full, model_scorer, rank_full
from tests.adarec_tf.tiny_scene import (
    ConvolutionModel,
    build_convolution_model,
    make_histories,
)
from tests.references.ranking_metrics import metrics_of_ranks, rank_of_target, shown_items

NUM_ITEMS = 16
MAX_LENGTH = 8


@pytest.fixture
def model() -> ConvolutionModel:
    return build_convolution_model(NUM_ITEMS, MAX_LENGTH)


@pytest.fixture
def histories() -> Histories:
    """Repeats, histories longer than the model sees, targets already seen, one empty history."""
    generator = np.random.default_rng(3)
    lengths = [0, 1, 25, 3, 8, 12, 2, 5, 7, 4, 9, 1]
    return make_histories(
        [generator.integers(1, NUM_ITEMS + 1, length).tolist() for length in lengths],
        generator.integers(1, NUM_ITEMS + 1, len(lengths)).tolist(),
    )


def table_scorer(scores: np.ndarray) -> protocols.ScoreBatch:
    return lambda rows, item_ids: scores[rows]


@pytest.mark.parametrize("seen", ["exclude", "keep"])
@pytest.mark.parametrize("at_a_time", [1000, 3])
def test_ranks_and_metrics_equal_those_counted_one_by_one(
    histories: Histories, seen: str, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "users_at_a_time", {NUM_ITEMS: at_a_time}.get)
    monkeypatch.setattr(protocols, "_POSITIONS_PER_BATCH", 16)
    scores = np.random.default_rng(0).integers(0, 5, (histories.num_users, NUM_ITEMS)) / 4.0
    expected = [
        rank_of_target(
            scores[user].tolist(),
            int(histories.targets[user]),
            histories.history(user).tolist(),
            seen == "exclude",
        )
        for user in range(histories.num_users)
    ]
    options = {"num_items": NUM_ITEMS, "max_length": MAX_LENGTH, "seen": seen}
    split = EvaluationSplit(histories, **options)
    ranks, lists = rank_full(table_scorer(scores), split, 5)
    np.testing.assert_array_equal(ranks, expected)
    np.testing.assert_array_equal(rank_full(table_scorer(scores), split).ranks, expected)
    for user, shown in enumerate(lists.tolist()):
        history = histories.history(user).tolist()
        slow = shown_items(scores[user].tolist(), history, seen == "exclude", 5)
        assert shown == slow + [0] * (5 - len(slow))
    metrics = evaluate_full(table_scorer(scores), histories, **options, cutoffs=(1, 5))
    reference = metrics_of_ranks(expected, 1) | metrics_of_ranks(expected, 5)
    assert metrics == pytest.approx(reference, rel=1e-12)


def test_items_older_than_the_model_sees_are_excluded_too() -> None:
    histories = make_histories([[1, 2, 3, 4, 5]], [6])
    seen_by_model = []

    def score(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        seen_by_model.append(item_ids[item_ids > 0].tolist())
        return np.array([[9.0, 8.0, 7.0, 6.0, 5.0, 1.0, 2.0, 0.0]])

    assert rank_full(score, EvaluationSplit(histories, 8, 2, "exclude")).ranks.tolist() == [2]
    assert rank_full(score, EvaluationSplit(histories, 8, 2, "keep")).ranks.tolist() == [7]
    assert seen_by_model == [[4, 5], [4, 5]]


def test_batches_never_hold_more_users_than_allowed(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "users_at_a_time", {NUM_ITEMS: 2}.get)
    sizes = []

    def score(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        sizes.append(len(rows))
        return np.zeros((len(rows), NUM_ITEMS))

    rank_full(score, EvaluationSplit(histories, NUM_ITEMS, MAX_LENGTH, "keep"))
    assert sum(sizes) == histories.num_users
    assert max(sizes) == 2


@pytest.mark.parametrize("seen", ["auto", ""])
def test_unresolved_seen_option_is_refused(histories: Histories, seen: str) -> None:
    with pytest.raises(ValueError, match="exclude, keep"):
        evaluate_full(
            table_scorer(np.zeros((12, NUM_ITEMS))),
            histories,
            num_items=NUM_ITEMS,
            max_length=MAX_LENGTH,
            seen=seen,
        )


@pytest.mark.parametrize("place", [(0, 0), (11, NUM_ITEMS - 1)])
def test_one_nan_score_is_an_error(histories: Histories, place: tuple[int, int]) -> None:
    scores = np.ones((12, NUM_ITEMS))
    scores[place] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        rank_full(table_scorer(scores), EvaluationSplit(histories, NUM_ITEMS, 8, "exclude"))


def test_infinite_scores_are_ranked_and_minus_infinity_is_not_shown() -> None:
    scores = np.array([[1.0, np.inf, 0.0, -np.inf, -np.inf]])
    for target, kept, excluded in ((2, 1, 1), (3, 3, 2), (4, 5, 4)):
        histories = make_histories([[1]], [target])
        for seen, rank, shown in (
            ("keep", kept, [2, 1, 3, 0]),
            ("exclude", excluded, [2, 3, 0, 0]),
        ):
            ranking = rank_full(table_scorer(scores), EvaluationSplit(histories, 5, 4, seen), 4)
            assert (ranking.ranks.tolist(), ranking.lists.tolist()) == ([rank], [shown])


@pytest.mark.parametrize("target", [0, NUM_ITEMS + 1])
def test_a_target_outside_the_catalog_is_refused(target: int) -> None:
    split = EvaluationSplit(make_histories([[1]], [target]), NUM_ITEMS, MAX_LENGTH, "keep")
    with pytest.raises(ValueError, match=r"1\.\.16"):
        rank_full(table_scorer(np.ones((1, NUM_ITEMS))), split)


def test_scores_may_be_whole_numbers() -> None:
    split = EvaluationSplit(make_histories([[1]], [2]), 4, MAX_LENGTH, "exclude")
    ranking = rank_full(table_scorer(np.array([[9, 3, 3, 5]])), split, 2)
    assert (ranking.ranks.tolist(), ranking.lists.tolist()) == ([3], [[4, 2]])


def test_scores_of_another_catalog_are_refused(histories: Histories) -> None:
    split = EvaluationSplit(histories, NUM_ITEMS, MAX_LENGTH, "keep")
    with pytest.raises(ValueError, match=r"here \(\d+, 16\)\. Received: \(\d+, 17\)"):
        rank_full(table_scorer(np.ones((12, NUM_ITEMS + 1))), split)


def test_model_scorer_scores_the_last_position_with_current_weights(
    model: ConvolutionModel,
) -> None:
    scorer = model_scorer(model)
    for _ in range(2):
        for item_ids in (np.array([[0, 3, 5]]), np.array([[0, 0, 7, 1], [1, 2, 3, 4]])):
            outputs = model(item_ids)
            expected = model.sequence_embedding.item_logits(outputs.final_states)[:, -1]
            scores = scorer(np.arange(len(item_ids)), item_ids)
            np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
        table = model.sequence_embedding.item_table.variable
        table.assign(-2.0 * tf.convert_to_tensor(table))
