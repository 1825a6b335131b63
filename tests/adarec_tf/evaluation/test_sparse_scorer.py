"""Ranks and lists of the baselines: as if all scores were written out and sorted."""

from collections.abc import Callable

import numpy as np
import pytest

from adarec_tf.evaluation import baselines, protocols
from adarec_tf.evaluation.baselines import BASELINES, Baseline, ItemKNN, Markov, Popularity
from adarec_tf.evaluation.protocols import EvaluationSplit, rank_full
from tests.adarec_tf.tiny_scene import make_histories
from tests.references import dense_baselines as dense

MAX_LENGTH = 6
NUM_ITEMS = 25
KNN = ItemKNN(num_last=4, num_neighbors=3)
DENSE: dict[Baseline, Callable[[list[list[int]], list[int]], np.ndarray]] = {
    Popularity(): lambda train, history: dense.popularity_scores(train, NUM_ITEMS),
    Markov(): lambda train, history: dense.markov_scores(train, history, NUM_ITEMS),
    KNN: lambda train, history: dense.item_knn_scores(train, history, NUM_ITEMS, 4, 3),
    ItemKNN(): lambda train, history: dense.item_knn_scores(train, history, NUM_ITEMS, 10, 100),
}


def draw_histories(generator: np.random.Generator, num_users: int) -> list[list[int]]:
    """Empty ones and repeats among them, a few items in most; the last three items are nobody's."""
    lengths = generator.integers(0, 12, num_users)
    items = 1 + (generator.random(lengths.sum()) ** 2 * (NUM_ITEMS - 3)).astype(int)
    return [part.tolist() for part in np.split(items, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize("seen", ["exclude", "keep"])
@pytest.mark.parametrize("num_users", [3, 60])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("baseline", DENSE, ids=str)
def test_ranks_and_lists_are_those_of_all_scores(
    baseline: Baseline, seed: int, num_users: int, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "users_at_a_time", {NUM_ITEMS: 7}.get)
    monkeypatch.setattr(baselines, "_MAX_PAIRS", 40)
    generator = np.random.default_rng(seed)
    train, test = draw_histories(generator, num_users), draw_histories(generator, 50)
    test.append(list(range(2, NUM_ITEMS + 1)))  # one candidate is left
    targets = generator.integers(1, NUM_ITEMS + 1, len(test)).tolist()
    scorer = baseline.scorer(make_histories(train), NUM_ITEMS)
    split = EvaluationSplit(make_histories(test, targets), NUM_ITEMS, MAX_LENGTH, seen)
    ranks, lists = rank_full(scorer, split, 10)
    expected = [
        dense.rank_and_list(
            DENSE[baseline](train, history[-MAX_LENGTH:]),
            target,
            set(history) if seen == "exclude" else set(),
            10,
        )
        for history, target in zip(test, targets, strict=True)
    ]
    assert ranks.tolist() == [rank for rank, _ in expected]
    assert lists.tolist() == [shown for _, shown in expected]
    assert (NUM_ITEMS + 1 in ranks) == (seen == "exclude")


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_lists_are_not_longer_than_the_catalog(baseline: Baseline) -> None:
    histories = make_histories([[1, 2, 3], []], [2, 3])
    scorer = baseline.scorer(histories, 3)
    split = EvaluationSplit(histories, 3, MAX_LENGTH, "keep")
    lists = rank_full(scorer, split, 10).lists
    assert [sorted(shown) for shown in lists.tolist()] == [[1, 2, 3]] * 2


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_ranking_writes_no_score_of_every_item(
    baseline: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = baseline.scorer(make_histories([[1, 2, 3], [2, 3]]), 5)
    monkeypatch.setattr(type(scorer), "__call__", None)
    split = EvaluationSplit(make_histories([[1, 2]], [3]), 5, MAX_LENGTH, "exclude")
    ranks, lists = rank_full(scorer, split, 2)
    assert (ranks.tolist(), lists[:, 0].tolist()) == ([1], [3])
