from collections import defaultdict
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adarec_tf.config.teacher import BERT4RecConfig, SASRecConfig, TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.models.teachers import build_teacher
from adarec_tf.training import co_occurrences
from adarec_tf.training import train_teacher as train_teacher_module
from adarec_tf.training.co_occurrences import co_occurrence_vectors, initialize_items
from adarec_tf.training.train_teacher import train_teacher
from tests.adarec_tf.tiny_scene import make_histories

# Items 1 to 4 are met together, and 5 to 8.
TWO_GROUPS = make_histories([[1, 2, 3, 4, 1, 3], [4, 2, 1], [5, 6, 7, 8, 6, 5], [8, 7, 5], [6, 8]])


def association(histories: list[list[int]], num_items: int) -> np.ndarray:
    """By the formula, pair by pair."""
    near: defaultdict[tuple[int, int], float] = defaultdict(float)
    for history in histories:
        for i, first in enumerate(history):
            for j, second in enumerate(history):
                if 0 < abs(i - j) <= 5:
                    near[first - 1, second - 1] += 1 / abs(i - j)
    counts = np.zeros((num_items, num_items))
    for pair, count in near.items():
        counts[pair] = count
    frequencies = counts.sum(axis=1) ** 0.75
    shares = frequencies / frequencies.sum()
    expected = counts.sum() * np.outer(shares, shares)
    return np.array(
        [
            [max(0.0, log(c / e)) if c else 0.0 for c, e in zip(*rows, strict=True)]
            for rows in zip(counts, expected, strict=True)
        ]
    )


@pytest.mark.parametrize("pairs_at_a_time", [10, 200, 10**6])
def test_the_association_of_items_is_that_of_the_formula(
    pairs_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(co_occurrences, "_PAIRS_AT_A_TIME", pairs_at_a_time)
    draw = np.random.default_rng(0)
    histories = [draw.integers(1, 9, draw.integers(1, 12)).tolist() for _ in range(20)]
    blocks = list(co_occurrences._association(make_histories(histories), 10))
    assert (len(blocks) == 1) == (pairs_at_a_time == 10**6)
    found = np.concatenate([block.toarray() for block in blocks])
    np.testing.assert_allclose(found, association(histories, 10), rtol=1e-5, atol=1e-6)


def test_vectors_of_items_that_are_met_together_are_near_each_other() -> None:
    vectors = co_occurrence_vectors(TWO_GROUPS, 9, 3, seed=0)
    products = vectors @ vectors.T
    assert products[:4, :4].min() > 0.4 > 0.1 > np.abs(products[:4, 4:8]).max()
    assert not vectors[8].any()  # of an item that nobody met
    np.testing.assert_array_equal(vectors, co_occurrence_vectors(TWO_GROUPS, 9, 3, seed=0))


def test_of_a_large_log_some_users_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = co_occurrence_vectors(TWO_GROUPS, 8, 3, seed=0)
    assert whole.any(axis=1).all()
    monkeypatch.setattr(co_occurrences, "_MOST_INTERACTIONS", len(TWO_GROUPS.item_ids) // 4)
    part = co_occurrence_vectors(TWO_GROUPS, 8, 3, seed=0)
    assert 0 < part.any(axis=1).sum() < 8


def test_a_small_catalog_leaves_columns_and_special_rows_as_they_are() -> None:
    model = build_teacher(SASRecConfig(hidden_dim=16), 8, 10, seed=0)
    before = np.array(model.sequence_embedding.item_table.matrix())
    initialize_items(model.sequence_embedding, TWO_GROUPS, seed=0)
    after = np.array(model.sequence_embedding.item_table.matrix())
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[:, 7:], before[:, 7:])
    np.testing.assert_allclose(np.linalg.norm(after[1:, :7], axis=1), 1.0, rtol=1e-5)


def trained(folder: Path, teacher: TeacherConfig, start_counts: bool = False) -> np.ndarray:
    """The item vectors of a teacher after a training that changes next to nothing."""
    model = build_teacher(teacher, 8, 10, seed=0)
    train_teacher(
        model,
        TWO_GROUPS,
        make_histories([[1, 2]], targets=[3]),
        TrainingConfig(initial_table="co_occurrences", max_epochs=1, learning_rate=1e-9),
        seen="keep",
        seed=0,
        checkpoint_dir=str(folder),
        start_counts=start_counts,
    )
    return np.array(model.sequence_embedding.item_vectors())


@pytest.mark.parametrize("start_counts", [False, True], ids=["anew", "continued"])
def test_a_training_begins_there_unless_it_continues(start_counts: bool, tmp_path: Path) -> None:
    teacher = SASRecConfig(hidden_dim=4)
    before = np.array(build_teacher(teacher, 8, 10, seed=0).sequence_embedding.item_vectors())
    wanted = before if start_counts else co_occurrence_vectors(TWO_GROUPS, 8, 4, seed=0)
    np.testing.assert_allclose(trained(tmp_path, teacher, start_counts), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "teacher",
    [SASRecConfig(hidden_dim=4), BERT4RecConfig(hidden_dim=4, fine_tune_epochs=1)],
    ids=["one phase", "two"],
)
def test_items_are_counted_once_and_not_again_for_what_was_saved(
    teacher: TeacherConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def count(*values: Any) -> None:
        counted.append(1)
        initialize_items(*values)

    monkeypatch.setattr(train_teacher_module, "initialize_items", count)
    first = trained(tmp_path, teacher)
    again = trained(tmp_path, teacher)
    assert counted == [1]
    np.testing.assert_array_equal(again, first)
