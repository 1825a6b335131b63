"""What a search hands on: the user's splits, halved, and all that was asked for."""

from pathlib import Path

import numpy as np
import pytest

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search import searcher
from adarec_tf.search.searcher import search_genotype
from adarec_tf.search.task import SearchTask
from tests.adarec_tf import walk_scene
from tests.adarec_tf.search.hand_made_costs import SHAPE, STUDENT, cost_table


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_a_search_is_given_both_halves_of_the_users_and_what_was_asked_for(
    seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[SearchTask] = []

    def stop(task: SearchTask, space: object) -> None:
        tasks.append(task)
        raise InterruptedError

    monkeypatch.setattr(searcher, "SupernetTraining", stop)
    scene = walk_scene.histories()
    teacher = build_teacher(
        NextItNetConfig(hidden_dim=4, num_blocks=1), SHAPE.num_items, SHAPE.max_length, seed=1
    )
    given = {
        "search": SearchConfig(max_epochs=7),
        "distillation": DistillationConfig(kd_weight=0.25),
        "seen": seen,
        "seed": 5,
        "compute_dtype": "bfloat16",
        "max_cache_bytes": 77,
    }
    with pytest.raises(InterruptedError):
        search_genotype(
            teacher,
            scene["train"],
            scene["valid"],
            costs=cost_table(),
            student=STUDENT,
            max_length=SHAPE.max_length,
            checkpoint_dir=str(tmp_path),
            **given,
        )
    [task] = tasks
    for name, value in given.items():
        assert getattr(task, name) == value, name
    assert task.teacher is teacher
    assert task.valid is scene["valid"]
    weights, alphas = (set(half.user_keys) for half in task.halves)
    assert not weights & alphas
    assert weights | alphas == set(scene["train"].user_keys)
    assert min(len(weights), len(alphas)) > 40
    train = scene["train"]
    users = {key: user for user, key in enumerate(train.user_keys)}
    for half in task.halves:
        for user, key in enumerate(half.user_keys):
            np.testing.assert_array_equal(half.history(user), train.history(users[key]))
