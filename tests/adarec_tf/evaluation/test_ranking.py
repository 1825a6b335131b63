"""Ranking metrics, against a slow reference and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.evaluation.ranking import metrics_of_ranks as metrics_by_name
from adarec_tf.evaluation.ranking import user_gains
from tests.references.ranking_metrics import metrics_of_ranks


def metrics_at(ranks: np.ndarray, k: int) -> list[float]:
    """Hit rate, NDCG and MRR."""
    metrics = metrics_by_name(ranks, cutoffs=(k,), protocol="full")
    return [metrics[f"{name}@{k}/full"] for name in ("hit_rate", "ndcg", "mrr")]


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


def test_no_cutoffs_are_no_metrics() -> None:
    assert user_gains(np.array([1, 2]), cutoffs=(), protocol="full") == {}
