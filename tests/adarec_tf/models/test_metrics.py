import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.evaluation.ranking import metrics_of_ranks
from adarec_tf.evaluation.ranking import target_ranks as counted_ranks
from adarec_tf.models.metrics import MRR, NDCG, HitRate, target_ranks

GENERATOR = np.random.default_rng(0)
# Few different scores, so that many tie.
SCORES = GENERATOR.integers(0, 6, (40, 12)).astype(np.float32)
TARGETS = GENERATOR.integers(1, 13, 40)
IS_EXCLUDED = GENERATOR.random((40, 12)) < 0.3


def test_ranks_are_those_of_the_evaluation() -> None:
    masked = np.where(IS_EXCLUDED, -np.inf, SCORES)
    expected = counted_ranks(SCORES, TARGETS, IS_EXCLUDED)
    np.testing.assert_array_equal(target_ranks(masked, TARGETS), expected)
    assert 13 in expected  # a target that is excluded itself


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
    expected = metrics_of_ranks(counted_ranks(SCORES, TARGETS), cutoffs=(3,), protocol="full")
    assert metric.name == name
    assert float(metric.result()) == pytest.approx(expected[f"{name}/full"], rel=1e-6)


def test_users_count_by_their_weights() -> None:
    metric = HitRate(1)
    scores = tf.constant([[0.1, 0.9], [0.9, 0.1]])
    metric.update_state(tf.constant([2, 2]), scores, tf.constant([3.0, 1.0]))
    assert float(metric.result()) == 0.75


def test_a_score_that_is_no_number_ranks_last() -> None:
    scores = tf.constant([[np.nan, 0.5, 0.1], [np.nan] * 3])
    assert target_ranks(scores, tf.constant([2, 1])).numpy().tolist() == [2, 4]


def test_a_cutoff_is_a_positive_number() -> None:
    with pytest.raises(ValueError, match=r"positive integer\. Received: k=0"):
        NDCG(0)
