"""Coverage and popularity bias, against lists made one by one."""

import numpy as np
import pytest

from adarec_tf.evaluation.protocols import EvaluationSplit, model_scorer, rank_full
from adarec_tf.evaluation.recommendations import (
    RecommendationStatistics,
    recommendation_statistics,
)
from tests.adarec_tf.tiny_scene import build_convolution_model, make_histories
from tests.references.ranking_metrics import shown_items

NUM_ITEMS = 16
MAX_LENGTH = 8
POPULARITY = np.random.default_rng(1).integers(0, 9, NUM_ITEMS).astype(float)


def slow_statistics(lists: list[list[int]]) -> RecommendationStatistics:
    means = [sum(POPULARITY[item - 1] for item in shown) / len(shown) for shown in lists if shown]
    covered = {item for shown in lists for item in shown}
    return RecommendationStatistics(len(covered) / NUM_ITEMS, sum(means) / len(means))


@pytest.mark.parametrize("k", [1, 3])
def test_statistics_are_those_of_slow_loops(k: int) -> None:
    generator = np.random.default_rng(k)
    lists = [generator.permutation(NUM_ITEMS)[:k] + 1 for _ in range(4)]
    statistics = recommendation_statistics(np.array(lists), POPULARITY)
    expected = slow_statistics([shown.tolist() for shown in lists])
    assert statistics == pytest.approx(expected, rel=1e-12)
    assert statistics.catalog_coverage < 1


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_a_model_is_shown_by_its_scores(seen: str) -> None:
    """One user has seen nearly everything, one nothing."""
    model = build_convolution_model(NUM_ITEMS, MAX_LENGTH)
    generator = np.random.default_rng(3)
    rows = [generator.integers(1, NUM_ITEMS + 1, n).tolist() for n in (0, 1, 25, 3, 8)]
    split = EvaluationSplit(make_histories(rows, [1] * 5), NUM_ITEMS, MAX_LENGTH, seen)
    shown = recommendation_statistics(rank_full(model_scorer(model), split, 2).lists, POPULARITY)
    lists = []
    for row in rows:
        scores = model_scorer(model)(np.arange(1), np.array([row[-MAX_LENGTH:] or [0]]))
        lists.append(shown_items(scores[0].numpy().tolist(), row, seen == "exclude", 2))
    expected = slow_statistics(lists)
    assert shown == pytest.approx(expected, rel=1e-12)
    assert 0 < expected.catalog_coverage < 1


def test_a_user_with_fewer_candidates_than_slots_has_a_shorter_list() -> None:
    # Who has no candidate at all is shown nothing, and does not lower the mean.
    lists = np.array([[NUM_ITEMS, 0, 0], [0, 0, 0]])
    shown = recommendation_statistics(lists, POPULARITY)
    assert shown == pytest.approx((1 / NUM_ITEMS, POPULARITY[-1]))


def test_nobody_is_shown_anything_without_users() -> None:
    assert recommendation_statistics(np.zeros((0, 3), int), POPULARITY) == (0, 0)
