"""Genotypes are ranked on the validation targets, by the protocol that was asked for."""

import numpy as np
import pytest

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.data.histories.histories import Histories, split_halves
from adarec_tf.evaluation.protocols import ScoreBatch
from adarec_tf.models.students import build_student
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.selection import validation as validation_module
from adarec_tf.search.selection.validation import SupernetValidation
from adarec_tf.search.space.alphas import architecture_of
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.search.space.weight_transfer import transfer_weights
from adarec_tf.search.task import SearchTask
from tests.adarec_tf import walk_scene
from tests.adarec_tf.search.small_supernet import (
    CONFIG,
    ITEM_IDS,
    LENGTH,
    NUM_ITEMS,
    small_supernet,
)
from tests.references.ranking_metrics import metrics_of_ranks, rank_of_target

GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "conv_5"]] * 2)


def task_of(
    scene: dict[str, Histories], supernet: Supernet, seen: str = "keep", seed: int = 5
) -> SearchTask:
    return SearchTask(
        teacher=supernet,
        halves=split_halves(scene["train"]),
        valid=scene["valid"],
        search=SearchConfig(),
        distillation=DistillationConfig(),
        seen=seen,
        seed=seed,
        cache_dir="",
    )


def test_the_larger_the_catalog_the_fewer_users_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def count(scorer: object, users: Histories, **options: object) -> dict[str, float]:
        counts.append(users.num_users)
        return {"ndcg@10/full": 0.5}

    scene, supernet = walk_scene.histories(num_users=40), small_supernet()
    monkeypatch.setattr(validation_module, "evaluate_full", count)
    monkeypatch.setattr(validation_module, "NUM_USERS", 7)
    for most_scores in (30 * NUM_ITEMS, 5 * NUM_ITEMS, 1):
        monkeypatch.setattr(validation_module, "_MOST_SCORES", most_scores)
        validation = SupernetValidation(supernet, task_of(scene, supernet))
        assert validation.leaves_users_out == (most_scores == 30 * NUM_ITEMS)
        validation.validate(GENOTYPE)
        validation.validate_on_all_users(GENOTYPE)
    assert counts == [7, 30, 5, 5, 1, 1]


def test_equal_seeds_draw_equal_users(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[bytes]] = []

    def record(scorer: object, users: Histories, **options: object) -> dict[str, float]:
        drawn.append(list(users.user_keys))
        return {"ndcg@10/full": 0.5}

    scene, supernet = walk_scene.histories(num_users=40), small_supernet()
    monkeypatch.setattr(validation_module, "evaluate_full", record)
    monkeypatch.setattr(validation_module, "_MOST_SCORES", 10 * NUM_ITEMS)
    for seed in (5, 5, 6):
        SupernetValidation(supernet, task_of(scene, supernet, seed=seed)).validate(GENOTYPE)
    first, again, other = drawn
    assert first == again != other


def test_a_genotype_is_scored_by_all_that_it_has_in_view(monkeypatch: pytest.MonkeyPatch) -> None:
    scorers: list[ScoreBatch] = []

    def record(scorer: ScoreBatch, users: Histories, **options: object) -> dict[str, float]:
        scorers.append(scorer)
        return {"ndcg@10/full": 0.5}

    scene, supernet = walk_scene.histories(num_users=40), small_supernet()
    monkeypatch.setattr(validation_module, "evaluate_full", record)
    SupernetValidation(supernet, task_of(scene, supernet)).validate(GENOTYPE)
    scores = scorers[0](np.arange(len(ITEM_IDS)), ITEM_IDS.numpy())
    states = supernet(ITEM_IDS, architecture_of(GENOTYPE, num_cells=2)).final_states[:, -1]
    np.testing.assert_allclose(scores, supernet.sequence_embedding.item_logits(states), atol=1e-5)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_a_genotype_is_as_good_as_its_student_with_these_weights(exclude_seen: bool) -> None:
    config = CONFIG.replace(precision="int4")  # what is rounded is validated
    scene, supernet = walk_scene.histories(num_users=40), small_supernet(config=config)
    valid = scene["valid"]
    task = task_of(scene, supernet, "exclude" if exclude_seen else "keep")
    validation = SupernetValidation(supernet, task)
    validation.validate(GENOTYPE)  # and then an epoch of the search, of which all weights are new
    for variable in supernet.trainable_variables:
        variable.assign(variable.value[::-1])
    student = build_student(GENOTYPE, config, NUM_ITEMS, LENGTH, seed=1)
    transfer_weights(student, supernet)
    scores = student.predict(valid, verbose=0)

    def ndcg(is_excluded: bool) -> float:
        ranks = [
            rank_of_target(list(row), target, list(valid.history(user)), is_excluded)
            for user, (row, target) in enumerate(zip(scores, valid.targets, strict=True))
        ]
        return metrics_of_ranks(ranks, 10)["ndcg@10/full"]

    for metric in (
        validation.validate(GENOTYPE),
        validation.validate_on_all_users(GENOTYPE),
        validation.validate_student(student),
    ):
        # A place more or less of one of the users.
        assert metric == pytest.approx(ndcg(exclude_seen), abs=5e-3)
        assert metric != pytest.approx(ndcg(not exclude_seen), abs=1e-2)
