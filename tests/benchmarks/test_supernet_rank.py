"""How rankings of students are judged, on figures that are known."""

import numpy as np
import pytest

from tests.benchmarks.supernet_rank import Judged, predicted, ranking, together

TEST = np.array([0.1, 0.2, 0.3, 0.4])
IS_RANDOM = np.array([True, True, True, False])


def test_a_ranking_is_judged_by_its_order_and_by_whom_it_has_first() -> None:
    by = np.array([1.0, 3.0, 4.0, 2.0])  # the best on test stands third
    found = ranking(by, TEST, IS_RANDOM)
    assert found == {
        "tau": pytest.approx(2 / 6, abs=1e-3),
        "tau of random": 1.0,
        "place of the first": 2,
    }


def test_supernets_together_say_the_mean_and_take_the_time_of_all() -> None:
    one, other = (Judged({"NDCG@10": np.array([v, 1.0])}, 10.0 * v, v) for v in (1.0, 3.0))
    both = together([one, other])
    assert both.measures["NDCG@10"].tolist() == [2.0, 1.0]
    assert (both.train_s, both.rank_s) == (40.0, 4.0)


def test_a_regression_is_not_told_of_the_student_that_it_predicts() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(12, 2))
    metrics = features @ [2.0, -1.0]
    guessed = predicted(features, metrics)
    assert np.corrcoef(guessed, metrics)[0, 1] > 0.95
    changed = metrics.copy()
    changed[3] += 100.0
    assert predicted(features, changed)[3] == pytest.approx(guessed[3])
