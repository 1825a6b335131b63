"""The sampled protocol, against slow loops, and how its negatives are drawn."""

import numpy as np
import pytest
import scipy.stats

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation import protocols
from adarec_tf.evaluation.protocols import evaluate_sampled, sample_negatives
from tests.adarec_tf.tiny_scene import make_histories
from tests.references.ranking_metrics import metrics_among, rank_of_target

NUM_ITEMS = 20


@pytest.fixture
def histories() -> Histories:
    """Repeats, a target already seen, one empty history."""
    return make_histories([[], [3, 3, 9], [1, 2, 3, 4, 5, 6], [20, 7], [8]], [2, 9, 20, 1, 8])


def draw(histories: Histories, row: int, num_negatives: int, seed: int) -> list[int]:
    return sample_negatives(
        histories, row, num_items=NUM_ITEMS, num_negatives=num_negatives, seed=seed
    ).tolist()


def test_metrics_equal_those_counted_one_by_one(histories: Histories) -> None:
    scores = np.random.default_rng(0).integers(0, 6, (histories.num_users, NUM_ITEMS)) / 4.0
    expected = []
    for user, target in enumerate(histories.targets.tolist()):
        negatives = draw(histories, user, 7, seed=5)
        among = [scores[user][item - 1] for item in [target, *negatives]]
        expected.append(rank_of_target(among, 1, [], False))
    metrics = evaluate_sampled(
        lambda rows, item_ids: scores[rows],
        histories,
        num_items=NUM_ITEMS,
        max_length=4,
        seed=5,
        num_negatives=7,
        cutoffs=(1, 3),
    )
    reference = metrics_among(expected, 1, "sampled7") | metrics_among(expected, 3, "sampled7")
    assert metrics == pytest.approx(reference, rel=1e-12)
    assert len(set(expected)) > 1


def test_negatives_are_new_to_the_user_and_differ(histories: Histories) -> None:
    for user in range(histories.num_users):
        met = {*histories.history(user).tolist(), int(histories.targets[user])}
        everything_else = set(range(1, NUM_ITEMS + 1)) - met
        for seed in range(20):
            negatives = draw(histories, user, 5, seed)
            assert len(set(negatives)) == 5
            assert set(negatives) <= everything_else
        assert set(draw(histories, user, len(everything_else), 0)) == everything_else


def test_users_of_equal_histories_get_negatives_of_their_own() -> None:
    histories = make_histories([[1, 2]] * 6, [3] * 6)
    assert len({tuple(draw(histories, user, 8, seed=0)) for user in range(6)}) == 6


def test_negatives_are_drawn_uniformly(histories: Histories) -> None:
    drawn = np.concatenate([draw(histories, 2, 4, seed) for seed in range(1500)])
    counts = np.bincount(drawn, minlength=NUM_ITEMS + 1)[7:20]
    assert counts.sum() == 6000
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_batches_do_not_change_the_draw(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = np.random.default_rng(0).random((histories.num_users, NUM_ITEMS))
    options = {"num_items": NUM_ITEMS, "max_length": 8, "seed": 1, "num_negatives": 6}
    whole = evaluate_sampled(lambda rows, item_ids: scores[rows], histories, **options)
    monkeypatch.setattr(protocols, "users_at_a_time", {NUM_ITEMS: 1}.get)
    single = evaluate_sampled(lambda rows, item_ids: scores[rows], histories, **options)
    assert single == whole
    other = evaluate_sampled(
        lambda rows, item_ids: scores[rows], histories, **{**options, "seed": 2}
    )
    assert other != whole


def test_too_few_items_to_draw_are_refused(histories: Histories) -> None:
    with pytest.raises(ValueError, match=r"here 13 of 20\. Received: num_negatives=14"):
        draw(histories, 2, 14, 0)


def test_the_usual_protocol_draws_a_hundred() -> None:
    histories = make_histories([[1]], [2])
    metrics = evaluate_sampled(
        lambda rows, item_ids: np.arange(200.0)[None],
        histories,
        num_items=200,
        max_length=4,
        seed=0,
        cutoffs=(10, 101),
    )
    assert metrics["hit_rate@10/sampled100"] == 0
    assert metrics["mrr@101/sampled100"] == pytest.approx(1 / 101)
