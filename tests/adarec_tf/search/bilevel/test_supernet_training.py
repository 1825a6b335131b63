"""Which half of the users each step of an epoch is given, and what the teacher says of it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.data.batches import Batch
from adarec_tf.distillation.initial_table import narrowed_items
from adarec_tf.models.losses import labeled_positions
from adarec_tf.models.teachers import build_teacher
from adarec_tf.search.bilevel import supernet_training
from adarec_tf.search.bilevel.state import SearchBatch
from adarec_tf.search.bilevel.supernet_training import SupernetTraining
from adarec_tf.search.task import SearchTask
from tests.adarec_tf.search.hand_made_costs import SHAPE, space
from tests.adarec_tf.tiny_scene import make_histories

# Of the 16 items each half of the users knows eight; the second half has fewer batches.
HALVES = (
    make_histories([[1, 2, 3, 4, 5], [4, 5, 6], [7, 8, 1, 2], [3, 5, 7, 8]]),
    make_histories([[9, 11, 13, 15, 16], [10, 12]]),
)


@pytest.fixture(scope="module")
def teacher() -> keras.Model:
    config = NextItNetConfig(hidden_dim=6, num_blocks=1)
    return build_teacher(config, SHAPE.num_items, SHAPE.max_length, seed=1)


def _steps(
    teacher: keras.Model, epoch: int, folder: Path, **changes: Any
) -> list[tuple[str, SearchBatch]]:
    """The steps of an epoch in their order, and their batches; none of them changes anything."""
    steps: list[tuple[str, SearchBatch]] = []

    def recorder(name: str) -> Any:
        def step(batch: SearchBatch) -> dict[str, tf.Tensor]:
            steps.append((name, batch))
            return {"task": tf.constant(1.0)}

        return lambda *_, **__: step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supernet_training, "build_weight_step", recorder("weights"))
        patch.setattr(supernet_training, "build_alpha_step", recorder("alphas"))
        SupernetTraining(_task(teacher, folder, **changes), space()).run_epoch(epoch)
    return steps


def _task(
    teacher: keras.Model, folder: Path, initial_table: str = "random", **changes: Any
) -> SearchTask:
    """A search of three epochs, the first of which leaves the alphas alone."""
    return SearchTask(
        teacher=teacher,
        halves=HALVES,
        valid=HALVES[0],
        search=SearchConfig(
            warmup_epochs=1, max_epochs=3, positions_per_batch=8, num_evaluations=2, **changes
        ),
        distillation=DistillationConfig(hidden_weight=1.0, initial_table=initial_table),
        seen="exclude",
        seed=5,
        cache_dir=str(folder),
    )


def _half(batch: SearchBatch) -> int:
    """Which half the items of a batch are of."""
    items = batch.item_ids.numpy()
    [half] = {int(item > 8) for item in items[items > 0]}
    return half


@pytest.mark.parametrize(
    ("epoch", "method", "expected"),
    [
        (0, "bilevel", [("weights", 0)] * 2),
        (1, "bilevel", [("weights", 0), ("alphas", 1)] * 2),
        (1, "evolution", [("weights", 0), ("weights", 1)] * 2),
    ],
)
def test_weights_learn_from_one_half_of_the_users_and_alphas_from_the_other(
    epoch: int, method: str, expected: list[tuple[str, int]], teacher: keras.Model, tmp_path: Path
) -> None:
    steps = _steps(teacher, epoch, tmp_path, method=method)
    assert [(name, _half(batch)) for name, batch in steps] == expected


def test_a_batch_has_what_the_teacher_says_of_its_own_positions(
    teacher: keras.Model, tmp_path: Path
) -> None:
    for _, batch in _steps(teacher, 1, tmp_path):
        outputs = teacher(batch.item_ids)
        indices = labeled_positions(batch.labels).indices
        for kept, said in (
            (batch.teacher.embedding, outputs.embedding),
            (batch.teacher.final_states, outputs.final_states),
        ):
            np.testing.assert_allclose(kept, tf.gather_nd(said, indices), rtol=1e-5, atol=1e-5)


def test_steps_draw_anew_and_equal_seeds_draw_alike(teacher: keras.Model, tmp_path: Path) -> None:
    drawn = [
        [tuple(batch.seed.numpy()) for _, batch in _steps(teacher, epoch, tmp_path)]
        for epoch in (1, 2, 1)
    ]
    assert drawn[0] == drawn[2]
    assert len({*drawn[0], *drawn[1]}) == len(drawn[0]) + len(drawn[1])


@pytest.mark.parametrize(("method", "num_epochs"), [("bilevel", 3), ("evolution", 5)])
def test_the_rate_falls_over_all_steps_of_the_weights(
    method: str, num_epochs: int, teacher: keras.Model, tmp_path: Path
) -> None:
    given: list[int] = []

    def build_optimizer(*arguments: Any, num_steps: int, **options: Any) -> keras.Optimizer:
        given.append(num_steps)
        return keras.optimizers.SGD()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supernet_training, "build_optimizer", build_optimizer)
        SupernetTraining(_task(teacher, tmp_path, method=method), space())
    # An epoch has two steps; without alphas, a second pass follows the warm-up.
    assert given == [2 * num_epochs]


def test_the_supernet_begins_from_the_teachers_table_where_that_is_asked(
    teacher: keras.Model, tmp_path: Path
) -> None:
    embedding = SupernetTraining(
        _task(teacher, tmp_path, initial_table="teacher"), space()
    ).state.supernet.sequence_embedding
    kept = narrowed_items(np.array(teacher.sequence_embedding.item_vectors()), embedding.hidden_dim)
    np.testing.assert_array_equal(embedding.item_vectors()[:, : kept.shape[1]], kept)


@pytest.mark.parametrize("cached", [("weights", "alphas"), ("weights",), ()])
def test_the_halves_share_the_bound_of_the_cache(
    cached: tuple[str, ...], teacher: keras.Model, tmp_path: Path
) -> None:
    # Embedding, blocks and final states, each of width 6, at every place.
    num_layers = 2 + len(teacher(tf.constant([[1]])).hidden_states)
    sizes = [4 * 6 * num_layers * len(half.item_ids) for half in HALVES]
    bound = sum(sizes[: len(cached)])
    task = _task(teacher, tmp_path)._replace(max_cache_bytes=bound)
    readers = supernet_training.teacher_readers(task, SHAPE.max_length)
    assert {path.name for path in tmp_path.glob("*")} == set(cached)
    assert sum(reader.num_bytes for reader in readers) == bound


def test_a_search_asks_the_teacher_for_its_best_items_only_where_that_is_soon_done(
    teacher: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _task(teacher, tmp_path)._replace(
        distillation=DistillationConfig(logits_items="sampled"), max_cache_bytes=0
    )
    item_ids = np.array([[1, 2]])
    batch = Batch(item_ids, item_ids, np.array([0, 1]))
    sizes = [len(half.item_ids) for half in HALVES]
    enough, too_few = SHAPE.num_items * max(sizes), SHAPE.num_items * min(sizes) - 1
    for scores, num_best in ((enough, SHAPE.num_items), (too_few, 0)):
        monkeypatch.setattr(supernet_training, "_MOST_SCORES", scores)
        for reader in supernet_training.teacher_readers(task, SHAPE.max_length):
            assert reader.states(batch).top_items.shape[1] == num_best
