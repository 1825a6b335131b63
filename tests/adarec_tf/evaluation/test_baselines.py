"""The baselines: by hand, by slow loops, and the published figures of two real scenes."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation import baselines
from adarec_tf.evaluation.baselines import ItemKNN, Markov, Popularity
from adarec_tf.evaluation.protocols import ScoreBatch, evaluate_full
from tests.adarec_tf.tiny_scene import make_histories
from tests.references import item_knn as reference

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"


TRAIN = make_histories([[1, 2, 1, 2, 3], [], [2, 4], [4], [3, 3]])


def score(scorer: ScoreBatch, *item_ids: list[int]) -> np.ndarray:
    return scorer(np.arange(len(item_ids)), np.array(item_ids, np.int64))


def test_popularity_counts_training_interactions() -> None:
    scores = score(Popularity().scorer(TRAIN, 5), [0, 1], [3, 4])
    np.testing.assert_array_equal(scores, [[2, 3, 3, 2, 0]] * 2)


def test_markov_counts_transitions_within_histories_only() -> None:
    counts = np.floor(score(Markov().scorer(TRAIN, 5), [0, 1], [1, 2], [1, 3], [0, 4], [0, 5]))
    expected = [
        [0, 2, 0, 0, 0],
        [1, 0, 1, 1, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(counts, expected)


def test_markov_breaks_ties_by_popularity_and_falls_back_to_it() -> None:
    scores = score(Markov().scorer(TRAIN, 5), [1, 2], [0, 0])
    assert scores[0, 2] > scores[0, 0] == scores[0, 3] > scores[0, 1] > scores[0, 4]
    np.testing.assert_allclose(scores[1], np.array([2, 3, 3, 2, 0]) / 4, rtol=1e-12)


def test_a_large_count_does_not_swallow_the_tie_break() -> None:
    train = make_histories([[1, 2] * 50_000, [1, 3] * 50_000, [3]])
    scores = score(Markov().scorer(train, 3), [0, 1])
    assert scores[0, 2] > scores[0, 1]


def test_no_training_data_scores_everything_alike() -> None:
    scores = score(Markov().scorer(make_histories([]), 3), [0, 1])
    np.testing.assert_array_equal(scores, [[0, 0, 0]])


def random_histories(seed: int, num_users: int, num_items: int) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 9, num_users)
    return [generator.integers(1, num_items + 1, length).tolist() for length in lengths]


@pytest.mark.parametrize(("num_last", "num_neighbors"), [(1, 2), (3, 4), (10, 100)])
@pytest.mark.parametrize("max_pairs", [2**24, 30])
def test_item_knn_agrees_with_slow_loops(
    num_last: int, num_neighbors: int, max_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "_MAX_PAIRS", max_pairs)
    num_items = 14
    histories = random_histories(5, 30, num_items - 2)  # the last two items are nobody's
    scorer = ItemKNN(num_last, num_neighbors).scorer(make_histories(histories), num_items)
    asked = [[3], [14], [1, 2, 3, 4, 5], [7, 7, 2], [9, 13, 1]]
    length = max(map(len, asked))
    scores = score(scorer, *([0] * (length - len(history)) + history for history in asked))
    expected = [
        reference.score_candidates(histories, history, num_items, num_last, num_neighbors)
        for history in asked
    ]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=2e-9)


def test_item_knn_breaks_ties_by_popularity_below_any_real_score() -> None:
    # Items 1 and 2 stand together once in many histories, 4 and 5 are equally similar to 3.
    train = make_histories([[1, 2], *[[1]] * 500, *[[2]] * 500, [3, 4], [3, 5], *[[6]] * 2000, [7]])
    scores = score(ItemKNN(num_last=10).scorer(train, 7), [0] * 10 + [1] + [0] * 9)
    assert np.argsort(-scores[0]).tolist()[:2] == [1, 5]
    scores = score(ItemKNN().scorer(train, 7), [0, 3], [0, 0])
    assert scores[0, 3] == scores[0, 4] > scores[0, 5] > scores[0, 0] == scores[0, 1]
    assert scores[0, 2] > scores[0, 6] > 0  # an item is not its own neighbor
    assert np.argsort(-scores[1]).tolist()[0] == 5


def test_item_knn_without_data_scores_everything_alike() -> None:
    scores = score(ItemKNN().scorer(make_histories([]), 3), [0, 1])
    np.testing.assert_array_equal(scores, [[0, 0, 0]])


@pytest.mark.parametrize("name", ["num_last", "num_neighbors"])
def test_item_knn_needs_items_to_look_at(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` should be a positive integer"):
        ItemKNN(**{name: 0})


def _leave_one_out(scene: str) -> tuple[Histories, Histories, int]:
    """The train and test splits of a scene's log, whose rows are in time order."""
    path = REAL_DATA / scene / "interactions.csv.gz"
    if not path.exists():
        pytest.skip(f"needs the real log {scene}, which is not part of the repository")
    users: dict[str, list[int]] = {}
    item_ids: dict[str, int] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            item_id = item_ids.setdefault(row["item_id"], len(item_ids) + 1)
            users.setdefault(row["user_id"], []).append(item_id)
    histories = list(users.values())
    train = make_histories([history[:-2] for history in histories])
    test = make_histories(
        [history[:-1] for history in histories], [history[-1] for history in histories]
    )
    return train, test, len(item_ids)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "seen", "hit_rate", "ndcg", "tolerance"),
    [
        ("beauty", "exclude", 0.0709, 0.0482, 0.0012),
        ("beauty", "keep", 0.0702, 0.0471, 0.0012),
        ("ml1m", "exclude", 0.2119, 0.1248, 0.0035),
    ],
)
def test_markov_reproduces_the_measured_figures(
    scene: str, seen: str, hit_rate: float, ndcg: float, tolerance: float
) -> None:
    """The figures count the validation item too and break ties at random, not by popularity.

    The tolerance is three standard deviations of the hit rate over ten draws of the ties.
    """
    _, test, num_items = _leave_one_out(scene)
    markov = Markov().scorer(test, num_items)
    generator = np.random.default_rng(0)

    def score_with_random_ties(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        counts = np.floor(markov(rows, item_ids))
        return counts + generator.random(counts.shape)

    metrics = evaluate_full(
        score_with_random_ties, test, num_items=num_items, max_length=50, seen=seen
    )
    assert metrics["hit_rate@10/full"] == pytest.approx(hit_rate, abs=tolerance)
    assert metrics["ndcg@10/full"] == pytest.approx(ndcg, abs=tolerance)


@pytest.mark.slow
def test_popularity_breaks_ties_better_than_chance() -> None:
    train, test, num_items = _leave_one_out("beauty")
    markov = Markov().scorer(train, num_items)
    options = {"num_items": num_items, "max_length": 50, "seen": "exclude", "cutoffs": (10,)}
    by_popularity = evaluate_full(markov, test, **options)
    generator = np.random.default_rng(0)
    at_random = evaluate_full(
        lambda rows, item_ids: np.floor(markov(rows, item_ids)) + generator.random(num_items),
        test,
        **options,
    )
    assert by_popularity["hit_rate@10/full"] > at_random["hit_rate@10/full"] + 0.002


@pytest.mark.slow
def test_popularity_reproduces_the_measured_figure() -> None:
    train, test, num_items = _leave_one_out("ml1m")
    metrics = evaluate_full(
        Popularity().scorer(train, num_items),
        test,
        num_items=num_items,
        max_length=50,
        seen="exclude",
    )
    assert metrics["hit_rate@10/full"] == pytest.approx(0.037, abs=5e-4)
