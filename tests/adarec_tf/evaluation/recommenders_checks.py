"""What tensorflow-recommenders says of the same models, in a process with Keras 2 as `tf.keras`.

`test_recommenders.py` runs these.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.evaluation.accuracy import measure_accuracy
from adarec_tf.evaluation.baselines import Popularity
from adarec_tf.evaluation.protocols import EvaluationSplit, evaluate_full, model_scorer, rank_full
from adarec_tf.evaluation.recommendations import recommendation_statistics
from adarec_tf.evaluation.retrieval_baseline import gru_retrieval_scorer
from tests.adarec_tf import walk_scene
from tests.adarec_tf.tiny_scene import (
    ConvolutionModel,
    build_convolution_model,
    make_histories,
)

NUM_ITEMS = 16
MAX_LENGTH = 8


@pytest.fixture
def model() -> ConvolutionModel:
    return build_convolution_model(NUM_ITEMS, MAX_LENGTH)


@pytest.fixture
def histories() -> Histories:
    generator = np.random.default_rng(0)
    return make_histories(
        [generator.integers(1, NUM_ITEMS + 1, 1 + user % 12).tolist() for user in range(40)],
        generator.integers(1, NUM_ITEMS + 1, 40).tolist(),
    )


def last_states(model: ConvolutionModel, histories: Histories) -> tf.Tensor:
    """float32 [U, D]."""
    rows = [histories.history(user)[None, -MAX_LENGTH:] for user in range(histories.num_users)]
    return tf.concat([model(row).final_states[:, -1] for row in rows], axis=0)


def brute_force(model: ConvolutionModel) -> tfrs.layers.factorized_top_k.BruteForce:
    table = model.sequence_embedding.item_vectors()
    return tfrs.layers.factorized_top_k.BruteForce().index(table, tf.range(1, NUM_ITEMS + 1))


def test_hit_rate_is_that_of_factorized_top_k(
    model: ConvolutionModel, histories: Histories
) -> None:
    metrics = evaluate_full(
        model_scorer(model),
        histories,
        num_items=NUM_ITEMS,
        max_length=MAX_LENGTH,
        seen="keep",
        cutoffs=(1, 5, 10),
    )
    theirs = tfrs.metrics.FactorizedTopK(brute_force(model), ks=(1, 5, 10))
    targets = tf.constant(histories.targets, tf.int32)
    taken = tf.gather(model.sequence_embedding.item_vectors(), targets - 1)
    theirs.update_state(last_states(model, histories), taken, targets)
    expected = [float(value) for value in theirs.result()]
    assert 0 < expected[1] < expected[2] < 1
    assert [metrics[f"hit_rate@{k}/full"] for k in (1, 5, 10)] == pytest.approx(expected, rel=1e-6)


def test_the_lists_are_those_of_brute_force(model: ConvolutionModel, histories: Histories) -> None:
    popularity = 2.0 ** np.arange(NUM_ITEMS)  # other lists, another mean
    split = EvaluationSplit(histories, NUM_ITEMS, MAX_LENGTH, "keep")
    shown = recommendation_statistics(rank_full(model_scorer(model), split, 3).lists, popularity)
    _, items = brute_force(model)(last_states(model, histories), k=3)
    assert shown.mean_popularity == pytest.approx(popularity[items.numpy() - 1].mean(), rel=1e-12)
    assert 0 < shown.catalog_coverage == len(np.unique(items)) / NUM_ITEMS


def test_two_towers_are_a_row_and_beat_popularity(model: ConvolutionModel) -> None:
    scene = walk_scene.histories()
    gru_retrieval = gru_retrieval_scorer(
        scene["train"],
        walk_scene.NUM_ITEMS,
        max_length=walk_scene.MAX_LENGTH,
        hidden_dim=16,
        num_epochs=15,
        positions_per_batch=128,
    )
    accuracy = measure_accuracy(
        {"popularity": Popularity(), "gru_retrieval": gru_retrieval, "student": model},
        scene["train"],
        scene["test"],
        statistics=SequenceStatistics(
            num_users=scene["train"].num_users,
            num_items=walk_scene.NUM_ITEMS,
            vocabulary_bytes=1234,
            num_interactions=0,
            removed={},
            repeat_share=0.0,
            seen="keep",
            max_length=walk_scene.MAX_LENGTH,
            windows="last",
            data_fingerprint="walk",
        ),
        k=5,
    )
    ndcg = {name: row["ndcg@5/full"] for name, row in accuracy.rows.items()}
    assert ndcg["gru_retrieval"] > 2 * ndcg["popularity"]


def test_equal_seeds_train_equal_towers() -> None:
    train = walk_scene.histories(40)["train"]
    item_ids = np.array([[1, 2, 3]])
    scores = [
        gru_retrieval_scorer(
            train,
            walk_scene.NUM_ITEMS,
            max_length=walk_scene.MAX_LENGTH,
            hidden_dim=4,
            num_epochs=1,
            seed=seed,
        )(np.zeros(1, np.int64), item_ids)
        for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 0
