"""The served function: key lookup, compaction, exclusion, slots; in the process that traced it."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from adarec_tf.data.vocabulary import ItemVocabulary
from adarec_tf.export.signatures import (
    ServedModel,
    build_served_model,
    exclude_items,
    recent_items,
)
from adarec_tf.sequence_model import SequenceOutputs
from tests.adarec_tf.tiny_scene import ConvolutionModel, build_convolution_model

KEYS = ("milk", "Äpfel", "two words", "7", "007", "x,y", "last")
NUM_ITEMS = len(KEYS)
MAX_LENGTH = 4


@pytest.fixture
def model() -> ConvolutionModel:
    return build_convolution_model(NUM_ITEMS, MAX_LENGTH)


@pytest.fixture
def vocabulary_path(tmp_path: Path) -> str:
    path = str(tmp_path / "vocabulary.txt")
    ItemVocabulary(KEYS).write(path)
    return path


@pytest.fixture
def served(model: ConvolutionModel, vocabulary_path: str) -> ServedModel:
    return build_served_model(model, vocabulary_path, max_length=MAX_LENGTH)


def ask(
    served: ServedModel, history: list[list[str]], k: int, exclude_seen: bool
) -> tuple[list[list[str]], np.ndarray]:
    answer = served.recommend(
        history=tf.reshape(tf.constant(history, tf.string), [len(history), -1 if history else 0]),
        k=tf.constant(k),
        exclude_seen=tf.constant(exclude_seen),
    )
    keys = [[key.decode() for key in row] for row in answer["item_ids"].numpy()]
    return keys, answer["scores"].numpy()


def in_process(
    model: ConvolutionModel, history: list[str], exclude_seen: bool
) -> tuple[list[str], list[float]]:
    """All candidates best first, one history at a time, without padding."""
    known = [KEYS.index(key) + 1 for key in history if key in KEYS]
    states = model(np.array([known[-MAX_LENGTH:]], np.int64)).final_states[:, -1]
    scores = model.sequence_embedding.item_logits(states)[0].numpy()
    order = [
        column
        for column in np.argsort(-scores, kind="stable")
        if not (exclude_seen and column + 1 in known)
    ]
    return [KEYS[column] for column in order], [float(scores[column]) for column in order]


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_answers_equal_the_model_asked_one_history_at_a_time(
    model: ConvolutionModel, served: ServedModel, exclude_seen: bool
) -> None:
    histories = [
        ["milk", "Äpfel", "milk", "7", "two words", "milk"],
        ["", "", "", "", "", "007"],
        ["x,y", "", "unknown", "last", "", "nope"],
        ["last", "", "", "", "", ""],
    ]
    keys, scores = ask(served, histories, NUM_ITEMS, exclude_seen)
    for row, history in enumerate(histories):
        expected_keys, expected_scores = in_process(model, history, exclude_seen)
        num_candidates = len(expected_keys)
        assert keys[row][:num_candidates] == expected_keys
        np.testing.assert_allclose(
            scores[row][:num_candidates], expected_scores, rtol=1e-5, atol=1e-6
        )
        assert keys[row][num_candidates:] == [""] * (NUM_ITEMS - num_candidates)
        assert np.all(np.isneginf(scores[row][num_candidates:]))


def test_items_older_than_the_model_sees_are_excluded_too(served: ServedModel) -> None:
    history = ["milk", *["7"] * MAX_LENGTH]
    assert "milk" in ask(served, [history], NUM_ITEMS, False)[0][0]
    assert "milk" not in ask(served, [history], NUM_ITEMS, True)[0][0]


def test_padding_and_unknown_keys_anywhere_change_nothing(served: ServedModel) -> None:
    plain = ask(served, [["milk", "7", "x,y"]], 5, True)
    padded = ask(served, [["", "milk", "?", "", "7", "x,y", "", "?", ""]], 5, True)
    assert plain[0] == padded[0]
    np.testing.assert_array_equal(plain[1], padded[1])


@pytest.mark.parametrize("history", [["", ""], ["unknown"], []])
def test_a_history_without_known_items_gets_the_order_of_the_vocabulary(
    served: ServedModel, history: list[str]
) -> None:
    keys, scores = ask(served, [history, history], 3, True)
    assert keys == [list(KEYS[:3])] * 2
    np.testing.assert_array_equal(scores, np.zeros((2, 3)))


def test_an_empty_history_is_finite_even_if_the_model_gives_nan_for_it(
    vocabulary_path: str,
) -> None:
    class NanAtPad(ConvolutionModel):
        def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
            outputs = super().call(item_ids, training=training)
            is_pad = (item_ids == 0)[..., None]
            return outputs._replace(
                final_states=tf.where(is_pad, float("nan"), outputs.final_states)
            )

    model = NanAtPad(NUM_ITEMS, MAX_LENGTH)
    model(tf.constant([[1]], tf.int64))
    served = build_served_model(model, vocabulary_path, max_length=MAX_LENGTH)
    assert np.isfinite(ask(served, [["", ""], ["7", ""]], 3, True)[1]).all()


def test_no_histories_give_an_empty_answer(served: ServedModel) -> None:
    keys, scores = ask(served, [], 3, True)
    assert keys == []
    assert scores.shape == (0, 3)


def test_k_beyond_the_catalogue_gives_the_catalogue(served: ServedModel) -> None:
    keys, _ = ask(served, [["milk"]], 100, False)
    assert sorted(keys[0]) == sorted(KEYS)


def test_nothing_is_left_for_a_user_who_has_seen_everything(served: ServedModel) -> None:
    keys, scores = ask(served, [list(KEYS)], 2, True)
    assert keys == [["", ""]]
    assert np.all(np.isneginf(scores))


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_an_invalid_argument(served: ServedModel, k: int) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="`k` should be a positive integer"):
        ask(served, [["milk"]], k, True)


def test_only_variables_that_serving_reads_are_kept(vocabulary_path: str) -> None:
    class WithProjection(ConvolutionModel):
        def build(self, input_shape: tuple[int | None, ...]) -> None:
            self.projection = self.add_weight(shape=(6, 32), name="training_only")
            super().build(input_shape)

    model = WithProjection(NUM_ITEMS, MAX_LENGTH)
    model(tf.constant([[1]], tf.int64))
    served = build_served_model(model, vocabulary_path, max_length=MAX_LENGTH)
    embedding, convolution = model.sequence_embedding, model.convolution
    table = embedding.item_table.variable
    read = (table, embedding.position_table, convolution.kernel, convolution.bias)
    # The model has the projection and the seeds of two dropouts besides.
    assert len(model.variables) == len(read) + 3
    kept = {id(variable) for variable in served.module.model_variables}
    assert kept == {id(variable.value) for variable in read}


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=6, max_size=6), min_size=0, max_size=4
    )
)
def test_recent_items_are_the_last_real_ones_in_order(rows: list[list[int]]) -> None:
    item_ids = tf.reshape(tf.constant(rows, tf.int64), [len(rows), 6])
    kept = [[item for item in row if item][-MAX_LENGTH:] for row in rows]
    width = max([1, *(len(row) for row in kept)])
    expected = [[0] * (width - len(row)) + row for row in kept]
    np.testing.assert_array_equal(
        recent_items(item_ids, MAX_LENGTH), np.reshape(expected, (len(rows), width))
    )


def test_excluded_items_score_minus_infinity_once_or_repeated() -> None:
    scores = exclude_items(tf.ones([2, 3]), tf.constant([[2, 0, 2], [0, 0, 0]], tf.int64))
    np.testing.assert_array_equal(scores, [[1, -np.inf, 1], [1, 1, 1]])
