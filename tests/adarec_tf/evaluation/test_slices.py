import numpy as np
import pytest

from adarec_tf.evaluation.slices import (
    history_length_slices,
    slice_metrics,
    target_popularity_slices,
)
from tests.adarec_tf.tiny_scene import make_histories
from tests.references.ranking_metrics import metrics_of_ranks


def histories_of_lengths(*lengths: int) -> object:
    return make_histories([[1] * length for length in lengths], [1] * len(lengths))


def users(slices: dict[str, np.ndarray]) -> dict[str, list[int]]:
    return {name: np.flatnonzero(is_in).tolist() for name, is_in in slices.items()}


def test_edges_belong_to_the_slice_they_open() -> None:
    slices = history_length_slices(histories_of_lengths(1, 4, 5, 9, 10, 19, 20, 49, 50, 900))
    assert users(slices) == {
        "1-4": [0, 1],
        "5-9": [2, 3],
        "10-19": [4, 5],
        "20-49": [6, 7],
        "50+": [8, 9],
    }


def test_an_empty_history_is_not_dropped_silently() -> None:
    with pytest.raises(ValueError, match=r"at least 1 item.*a history of 0"):
        history_length_slices(histories_of_lengths(0, 3))


def test_popularity_is_cut_into_thirds_of_the_interactions() -> None:
    # Item 3 alone has a third; items 1, 5 have the second; 2, 4, 6 the last; 7 has none.
    popularity = np.array([6.0, 5, 12, 4, 6, 3, 0])
    histories = make_histories([[1]] * 7, [1, 2, 3, 4, 5, 6, 7])
    assert users(target_popularity_slices(histories, popularity)) == {
        "head": [2],
        "middle": [0, 4],
        "tail": [1, 3, 5],
        "unseen": [6],
    }


def test_without_training_data_every_target_is_unseen() -> None:
    slices = target_popularity_slices(make_histories([[1]] * 2, [1, 2]), np.zeros(2))
    assert users(slices) == {"head": [], "middle": [], "tail": [], "unseen": [0, 1]}


def test_every_user_is_in_one_slice_of_a_kind() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 80, 200)
    histories = make_histories(
        [[1] * length for length in lengths], generator.integers(1, 31, 200).tolist()
    )
    popularity = generator.integers(0, 5, 30).astype(float)
    for slices in (
        history_length_slices(histories),
        target_popularity_slices(histories, popularity),
    ):
        np.testing.assert_array_equal(sum(is_in.astype(int) for is_in in slices.values()), 1)


def test_slices_have_their_own_metrics_and_empty_ones_none() -> None:
    ranks = np.array([1, 4, 30, 2])
    slices = {
        "few": np.array([True, False, True, False]),
        "rest": np.array([False, True, False, True]),
        "nobody": np.zeros(4, bool),
    }
    table = slice_metrics(ranks, slices, cutoffs=(3, 10))
    for name, chosen in (("few", [1, 30]), ("rest", [4, 2])):
        expected = {"users": 2, **metrics_of_ranks(chosen, 3), **metrics_of_ranks(chosen, 10)}
        assert table[name] == pytest.approx(expected, rel=1e-12)
    assert table["nobody"] == {"users": 0, **dict.fromkeys(set(table["few"]) - {"users"})}
