"""Ranks and Keras metrics, against a slow reference and hand-made cases."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.batches import pad_item_sets
from adarec_tf.evaluation.ranking import metrics_of_ranks
from adarec_tf.models.metrics import MRR, NDCG, HitRate, target_ranks, without_items
from tests.adarec_tf.tiny_scene import make_histories
from tests.references.ranking_metrics import rank_of_target

NUM_ITEMS = 6

GENERATOR = np.random.default_rng(0)
# Few different scores, so that many tie.
SCORES = GENERATOR.integers(0, 6, (40, 12)).astype(np.float32)
TARGETS = GENERATOR.integers(1, 13, 40)


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
    excluded = pad_item_sets(make_histories(histories), np.arange(len(histories)))
    ranks = target_ranks(np.array(scores), np.array(targets), excluded if exclude_seen else None)
    np.testing.assert_array_equal(ranks, expected)


def test_a_constant_model_ranks_last() -> None:
    ranks = target_ranks(np.zeros((2, NUM_ITEMS), np.float32), np.array([1, 6]))
    np.testing.assert_array_equal(ranks, [NUM_ITEMS, NUM_ITEMS])


def test_excluded_items_have_no_score() -> None:
    scores = tf.constant([[1.0, -2.0, 3.0], [4.0, 5.0, -np.inf], [7.0, 8.0, 9.0]])
    excluded = tf.constant([[0, 1], [2, 3], [0, 0]], tf.int64)
    expected = [[-np.inf, -2.0, 3.0], [4.0, -np.inf, -np.inf], [7.0, 8.0, 9.0]]
    np.testing.assert_array_equal(without_items(scores, excluded), expected)


@pytest.mark.parametrize(
    ("metric", "name"), [(HitRate(3), "hit_rate@3"), (NDCG(3), "ndcg@3"), (MRR(3), "mrr@3")]
)
def test_a_metric_streamed_in_batches_is_that_of_all_users(
    metric: keras.metrics.Metric, name: str
) -> None:
    metric.reset_state()
    assert float(metric.result()) == 0.0
    for rows in (slice(0, 7), slice(7, 40)):
        metric.update_state(tf.constant(TARGETS[rows]), tf.constant(SCORES[rows]))
    users = zip(SCORES.tolist(), TARGETS.tolist(), strict=True)
    ranks = np.array([rank_of_target(scores, target, [], False) for scores, target in users])
    expected = metrics_of_ranks(ranks, cutoffs=(3,), protocol="full")
    assert metric.name == name
    assert float(metric.result()) == pytest.approx(expected[f"{name}/full"], rel=1e-6)


def test_users_count_by_their_weights() -> None:
    metric = HitRate(1)
    scores = tf.constant([[0.1, 0.9], [0.9, 0.1]])
    metric.update_state(tf.constant([2, 2]), scores, tf.constant([3.0, 1.0]))
    assert float(metric.result()) == 0.75


def test_a_score_that_is_no_number_ranks_last() -> None:
    scores = tf.constant([[np.nan, 0.5, 0.1], [np.nan] * 3])
    assert target_ranks(scores, tf.constant([2, 1])).numpy().tolist() == [2, 3]


def test_a_cutoff_is_a_positive_number() -> None:
    with pytest.raises(ValueError, match=r"positive integer\. Received: k=0"):
        NDCG(0)
