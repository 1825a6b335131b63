import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.models.teachers import build_teacher

ITEM_IDS = tf.constant([[0, 3, 1, 4], [5, 2, 2, 1]], tf.int64)


def _member(seed: int, num_items: int = 9, hidden_dim: int = 6) -> keras.Model:
    config = NextItNetConfig(hidden_dim=hidden_dim, num_blocks=1)
    return build_teacher(config, num_items, 8, seed=seed)


def test_its_logits_are_the_mean_of_its_members() -> None:
    members = [_member(1), _member(2), _member(3)]
    ensemble = EnsembleTeacher(members)
    states = ensemble(ITEM_IDS).final_states[:, -1]
    expected = np.mean(
        [m.sequence_embedding.item_logits(m(ITEM_IDS).final_states[:, -1]) for m in members], axis=0
    )
    np.testing.assert_allclose(
        ensemble.sequence_embedding.item_logits(states), expected, rtol=1e-4, atol=1e-6
    )
    assert ensemble.sequence_embedding.num_items == 9


def test_its_layers_are_all_of_theirs() -> None:
    members = [_member(1), _member(2)]
    layers = EnsembleTeacher(members)(ITEM_IDS).hidden_states
    expected = [state for member in members for state in member(ITEM_IDS).hidden_states]
    assert len(layers) == len(expected)
    for layer, state in zip(layers, expected, strict=True):
        np.testing.assert_array_equal(layer, state)


@pytest.mark.parametrize("other", [{"num_items": 10}, {"hidden_dim": 8}])
def test_members_that_do_not_fit_are_refused(other: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"same items and have the same width\. Received"):
        EnsembleTeacher([_member(1), _member(2, **other)])


def test_no_members_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Received: \(items, width\) of \[\]"):
        EnsembleTeacher([])
