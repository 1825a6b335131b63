"""Slices, intervals and the paired test: each of the model and users it says."""

import numpy as np
import pytest

from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.log.built_in import generate_sample_scene
from adarec_tf.evaluation.accuracy import Accuracy, evaluate, measure_accuracy
from adarec_tf.evaluation.baselines import (
    BASELINES,
    ItemKNN,
    Markov,
    Popularity,
    item_popularity,
)
from adarec_tf.evaluation.protocols import EvaluationSplit, evaluate_full, model_scorer, rank_full
from adarec_tf.evaluation.ranking import metrics_of_ranks, user_gains
from adarec_tf.evaluation.recommendations import recommendation_statistics
from adarec_tf.evaluation.uncertainty import bootstrap_interval, paired_test
from tests.adarec_tf.tiny_scene import build_convolution_model, make_histories

NUM_ITEMS, MAX_LENGTH, NUM_USERS = 12, 5, 60
GENERATOR = np.random.default_rng(0)
ROWS = [GENERATOR.integers(1, NUM_ITEMS + 1, 1 + user % 13).tolist() for user in range(NUM_USERS)]
TRAIN = make_histories([row[:-1] for row in ROWS])
TEST = make_histories(ROWS, GENERATOR.integers(1, NUM_ITEMS + 1, NUM_USERS).tolist())
STATISTICS = SequenceStatistics(
    num_users=NUM_USERS,
    num_items=NUM_ITEMS,
    vocabulary_bytes=1234,
    num_interactions=0,
    removed={},
    repeat_share=0.0,
    seen="keep",
    max_length=MAX_LENGTH,
    windows="last",
    data_fingerprint="toy",
)
SPLIT = EvaluationSplit(TEST, NUM_ITEMS, MAX_LENGTH, "keep")


@pytest.fixture
def measured() -> tuple[Accuracy, dict[str, np.ndarray]]:
    """What is said of the models, and their ranks."""
    models = {
        "teacher": build_convolution_model(NUM_ITEMS, MAX_LENGTH),
        "student": build_convolution_model(NUM_ITEMS, MAX_LENGTH + 1),
    }
    scorers = {
        "popularity": Popularity().scorer(TRAIN, NUM_ITEMS),
        "markov": Markov().scorer(TRAIN, NUM_ITEMS),
        "item_knn": ItemKNN().scorer(TRAIN, NUM_ITEMS),
        **{name: model_scorer(model) for name, model in models.items()},
    }
    accuracy = measure_accuracy(
        {**BASELINES, **models}, TRAIN, TEST, statistics=STATISTICS, k=3, cutoffs=(1, 5)
    )
    popularity = item_popularity(TRAIN, NUM_ITEMS)
    rankings = {name: rank_full(scorer, SPLIT, 3) for name, scorer in scorers.items()}
    for name, (_, lists) in rankings.items():
        shown = recommendation_statistics(lists, popularity)
        row = accuracy.rows[name]
        assert row["catalog_coverage@3/full"] == shown.catalog_coverage
        assert row["mean_recommended_popularity@3/full"] == pytest.approx(shown.mean_popularity)
    return accuracy, {name: ranks for name, (ranks, _) in rankings.items()}


def test_every_figure_is_that_of_its_model(
    measured: tuple[Accuracy, dict[str, np.ndarray]],
) -> None:
    accuracy, ranks = measured
    for parts in (accuracy.rows, accuracy.slices, accuracy.intervals):
        assert list(parts) == list(ranks)
    for name, of_model in ranks.items():
        metrics = metrics_of_ranks(of_model, cutoffs=(1, 3, 5), protocol="full")
        assert {key: accuracy.rows[name][key] for key in metrics} == pytest.approx(metrics)
        gains = user_gains(of_model, cutoffs=(5,), protocol="full")["ndcg@5/full"]
        assert accuracy.intervals[name]["ndcg@5/full"] == bootstrap_interval(gains, seed=0)
        assert set(accuracy.intervals[name]) == set(metrics)
        slices = accuracy.slices[name]
        long = metrics_of_ranks(of_model[TEST.lengths >= 10], cutoffs=(3,), protocol="full")
        expected = {"users": int((TEST.lengths >= 10).sum()), **long}
        assert slices["history_length"]["10-19"] == pytest.approx(expected)
        assert slices["history_length"]["50+"]["ndcg@3/full"] is None
        assert list(slices["target_popularity"]) == ["head", "middle", "tail", "unseen"]
        of_long = user_gains(of_model, cutoffs=(3,), protocol="full")["ndcg@3/full"]
        intervals = accuracy.slice_intervals[name]["history_length"]
        expected_interval = bootstrap_interval(of_long[TEST.lengths >= 10], seed=0)
        assert intervals["10-19"] == expected_interval
        assert "50+" not in intervals
        for of_kind in slices.values():
            assert sum(figures["users"] for figures in of_kind.values()) == NUM_USERS


def test_the_student_is_tested_against_the_teacher(
    measured: tuple[Accuracy, dict[str, np.ndarray]],
) -> None:
    accuracy, ranks = measured
    student, teacher = (
        user_gains(ranks[name], cutoffs=(5,), protocol="full")["mrr@5/full"]
        for name in ("student", "teacher")
    )
    test = accuracy.student_against_teacher["mrr@5/full"]
    assert test == paired_test(student, teacher, seed=0)
    assert test.difference == pytest.approx(student.mean() - teacher.mean())
    assert test.difference != 0


def test_models_are_evaluated_by_name_and_print_as_a_table() -> None:
    dataset = Dataset.from_interactions(generate_sample_scene(num_users=40), max_length=10)
    accuracy = evaluate({"most popular": Popularity(), "markov": Markov()}, dataset, k=5)
    expected = evaluate_full(
        Markov().scorer(dataset.train, dataset.num_items),
        dataset.test,
        num_items=dataset.num_items,
        max_length=10,
        seen=dataset.seen,
        cutoffs=(5,),
    )
    assert accuracy.rows["markov"]["ndcg@5/full"] == expected["ndcg@5/full"]
    assert accuracy.student_against_teacher == {}
    header, first, second = str(accuracy).splitlines()
    assert header.split()[:2] == ["mrr@5", "ndcg@5"]
    assert first.startswith("most popular ")
    assert f" {expected['ndcg@5/full']:.4f}" in second
    assert accuracy.to_pandas().loc["markov", "ndcg@5/full"] == expected["ndcg@5/full"]


def test_a_model_of_other_items_is_an_error_that_names_it() -> None:
    dataset = Dataset.from_interactions(generate_sample_scene(num_users=40), max_length=10)
    model = build_convolution_model(NUM_ITEMS, MAX_LENGTH)
    with pytest.raises(ValueError, match=r"`models\['teacher'\]` should know .* as `dataset`"):
        evaluate({"teacher": model}, dataset)


def test_a_cut_off_below_one_is_refused_before_anything_is_ranked() -> None:
    def never(rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        raise AssertionError

    with pytest.raises(ValueError, match="k=0"):
        measure_accuracy({"model": never}, TRAIN, TEST, statistics=STATISTICS, k=3, cutoffs=(0,))
