"""Ranks and ranking metrics, against a slow reference and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.evaluation.ranking import metrics_of_ranks as metrics_by_name
from adarec_tf.evaluation.ranking import target_ranks, user_gains
from tests.references.ranking_metrics import metrics_of_ranks, rank_of_target

NUM_ITEMS = 6


def metrics_at(ranks: np.ndarray, k: int) -> list[float]:
    """Hit rate, NDCG and MRR."""
    metrics = metrics_by_name(ranks, cutoffs=(k,), protocol="full")
    return [metrics[f"{name}@{k}/full"] for name in ("hit_rate", "ndcg", "mrr")]


@st.composite
def scored_users(draw: st.DrawFn) -> tuple[list[list[float]], list[int], list[list[int]]]:
    """Scores from a small set (so ties are common), targets, and histories that may repeat."""
    items = st.integers(1, NUM_ITEMS)
    user = st.tuples(
        st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=NUM_ITEMS, max_size=NUM_ITEMS),
        items,
        st.lists(items, max_size=8),
    )
    users = draw(st.lists(user, min_size=1, max_size=5))
    scores, targets, histories = zip(*users, strict=True)
    return list(scores), list(targets), list(histories)


def _exclusion_mask(histories: list[list[int]]) -> np.ndarray:
    mask = np.zeros((len(histories), NUM_ITEMS), bool)
    for row, history in enumerate(histories):
        for item in history:
            mask[row, item - 1] = True
    return mask


@settings(deadline=None)
@given(scored_users(), st.booleans())
def test_ranks_equal_those_counted_one_by_one(
    users: tuple[list[list[float]], list[int], list[list[int]]], exclude_seen: bool
) -> None:
    scores, targets, histories = users
    expected = [
        rank_of_target(score, target, history, exclude_seen)
        for score, target, history in zip(scores, targets, histories, strict=True)
    ]
    mask = _exclusion_mask(histories) if exclude_seen else None
    ranks = target_ranks(np.array(scores, np.float32), np.array(targets), mask)
    np.testing.assert_array_equal(ranks, expected)


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1), st.integers(1, 20))
def test_metrics_equal_the_reference_and_are_ordered(ranks: list[int], k: int) -> None:
    expected = metrics_of_ranks(ranks, k)
    hit_rate, ndcg, mrr = metrics_at(np.array(ranks), k)
    np.testing.assert_allclose(
        [hit_rate, ndcg, mrr], [expected[name] for name in expected], rtol=1e-12, atol=0
    )
    assert mrr <= ndcg + 1e-12
    assert ndcg <= hit_rate + 1e-12


def test_known_values_of_one_rank() -> None:
    ranks = np.array([3])
    assert metrics_at(ranks, 3) == pytest.approx([1.0, 0.5, 1 / 3], rel=1e-12)
    assert metrics_at(ranks, 2) == [0.0, 0.0, 0.0]


def test_no_users_give_zero_not_nan() -> None:
    assert metrics_at(np.zeros(0, np.int64), 10) == [0.0, 0.0, 0.0]


def test_a_constant_model_ranks_last() -> None:
    ranks = target_ranks(np.zeros((2, NUM_ITEMS), np.float32), np.array([1, 6]))
    np.testing.assert_array_equal(ranks, [NUM_ITEMS, NUM_ITEMS])


def test_a_target_in_the_history_is_a_miss_at_any_cutoff() -> None:
    scores = np.array([[9.0, 1.0, 2.0, 3.0, 4.0, 5.0]])
    mask = _exclusion_mask([[1]])
    ranks = target_ranks(scores, np.array([1]), mask)
    np.testing.assert_array_equal(ranks, [NUM_ITEMS + 1])
    assert metrics_at(ranks, NUM_ITEMS) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("place", [(0, 0), (0, 3)])
def test_nan_scores_are_refused(place: tuple[int, int]) -> None:
    scores = np.ones((1, NUM_ITEMS))
    scores[place] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        target_ranks(scores, np.array([1]))


@pytest.mark.parametrize("target", [0, NUM_ITEMS + 1])
def test_a_target_outside_the_catalog_is_refused(target: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.6"):
        target_ranks(np.ones((1, NUM_ITEMS)), np.array([target]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[B, num_items\]"):
        target_ranks(np.ones((2, NUM_ITEMS)), np.array([1]))
    with pytest.raises(ValueError, match="is_excluded"):
        target_ranks(np.ones((1, NUM_ITEMS)), np.array([1]), np.zeros((1, 3), bool))


def test_a_cutoff_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="k=0"):
        metrics_by_name(np.array([1]), cutoffs=(10, 0), protocol="full")


def test_gains_of_users_average_to_the_metrics() -> None:
    ranks = np.array([1, 3, 11, 2, 40])
    metrics = metrics_by_name(ranks, cutoffs=(1, 10), protocol="sampled7")
    gains = user_gains(ranks, cutoffs=(1, 10), protocol="sampled7")
    assert len(metrics) == 2 * 3
    assert list(gains) == list(metrics)
    for k in (1, 10):
        for name in ("hit_rate", "ndcg", "mrr"):
            of_users = gains[f"{name}@{k}/sampled7"]
            assert of_users[ranks > k].tolist() == [0.0] * int((ranks > k).sum())
            assert metrics[f"{name}@{k}/sampled7"] == pytest.approx(of_users.mean(), rel=1e-12)
