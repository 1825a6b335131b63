"""Coverage and popularity bias, against lists made one by one."""

import numpy as np
import pytest

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation import protocols
from adarec_tf.evaluation.protocols import EvaluationSplit, model_scorer
from adarec_tf.evaluation.recommendations import (
    RecommendationStatistics,
    recommendation_statistics,
)
from tests.adarec_tf.tiny_scene import ConvolutionModel, build_convolution_model, make_histories
from tests.references.ranking_metrics import shown_items

NUM_ITEMS = 16
MAX_LENGTH = 8
POPULARITY = np.random.default_rng(1).integers(0, 9, NUM_ITEMS).astype(float)


@pytest.fixture
def model() -> ConvolutionModel:
    return build_convolution_model(NUM_ITEMS, MAX_LENGTH)


@pytest.fixture
def histories() -> Histories:
    """One user has seen nearly everything, one nothing."""
    generator = np.random.default_rng(3)
    return make_histories(
        [generator.integers(1, NUM_ITEMS + 1, length).tolist() for length in (0, 1, 25, 3, 8)]
    )


def slow_statistics(
    scores: np.ndarray, histories: Histories, seen: str, k: int
) -> RecommendationStatistics:
    lists = [
        shown_items(scores[user].tolist(), histories.history(user).tolist(), seen == "exclude", k)
        for user in range(histories.num_users)
    ]
    means = [sum(POPULARITY[item - 1] for item in shown) / len(shown) for shown in lists if shown]
    covered = {item for shown in lists for item in shown}
    return RecommendationStatistics(len(covered) / NUM_ITEMS, sum(means) / len(means))


@pytest.mark.parametrize("seen", ["exclude", "keep"])
@pytest.mark.parametrize("k", [1, 2, 10, 40])
def test_scores_with_ties_give_the_lists_of_slow_loops(
    histories: Histories, seen: str, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "_POSITIONS_PER_BATCH", 16)
    scores = np.random.default_rng(0).integers(0, 4, (histories.num_users, NUM_ITEMS)) / 4.0
    statistics = recommendation_statistics(
        lambda rows, item_ids: scores[rows],
        EvaluationSplit(histories, NUM_ITEMS, MAX_LENGTH, seen),
        POPULARITY,
        k,
    )
    assert statistics == pytest.approx(slow_statistics(scores, histories, seen, k), rel=1e-12)
    assert k > 2 or statistics.catalog_coverage < 1


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_a_model_is_shown_by_its_scores(
    model: ConvolutionModel, histories: Histories, seen: str
) -> None:
    split = EvaluationSplit(histories, NUM_ITEMS, MAX_LENGTH, seen)
    shown = recommendation_statistics(model_scorer(model), split, POPULARITY, k=2)
    scores = np.concatenate(
        [
            model_scorer(model)(np.array([user]), histories.history(user)[None, -MAX_LENGTH:])
            if len(histories.history(user))
            else model_scorer(model)(np.array([user]), np.zeros((1, 1), np.int64))
            for user in range(histories.num_users)
        ]
    )
    expected = slow_statistics(scores, histories, seen, 2)
    assert shown == pytest.approx(expected, rel=1e-12)
    assert 0 < expected.catalog_coverage < 1


def test_a_user_with_fewer_candidates_than_slots_has_a_shorter_list(
    model: ConvolutionModel,
) -> None:
    histories = make_histories([list(range(1, NUM_ITEMS)), list(range(1, NUM_ITEMS + 1))])
    split = EvaluationSplit(histories, NUM_ITEMS, MAX_LENGTH, "exclude")
    shown = recommendation_statistics(model_scorer(model), split, POPULARITY, k=10)
    # Who has no candidate at all is shown nothing, and does not lower the mean.
    assert shown == pytest.approx((1 / NUM_ITEMS, POPULARITY[-1]))


def test_an_empty_list_is_refused(model: ConvolutionModel, histories: Histories) -> None:
    with pytest.raises(ValueError, match="k=0"):
        recommendation_statistics(
            model_scorer(model),
            EvaluationSplit(histories, NUM_ITEMS, MAX_LENGTH, "keep"),
            POPULARITY,
            k=0,
        )
