"""The served functions: key lookup, exclusion, filters, slots; in the process that traced them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export.signatures import EXAMPLES_K, ServedModel, build_served_model
from adarec_tf.export.warm_up import key_matrix, serialized_example
from adarec_tf.models.sequence_model import SequenceOutputs
from adarec_tf.models.students import Genotype, Student, build_student
from tests.adarec_tf.tiny_scene import ConvolutionModel, build_convolution_model

KEYS = ("milk", "Äpfel", "two words", "7", "007", "x,y", "last")
NUM_ITEMS = len(KEYS)
MAX_LENGTH = 4


@pytest.fixture(scope="module")
def model() -> ConvolutionModel:
    keras.utils.set_random_seed(0)
    return build_convolution_model(NUM_ITEMS, MAX_LENGTH)


@pytest.fixture(scope="module")
def vocabulary_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("vocabulary") / "vocabulary.txt")
    ItemVocabulary(KEYS).write(path)
    return path


@pytest.fixture(scope="module")
def served(model: ConvolutionModel, vocabulary_path: str) -> ServedModel:
    return build_served_model(model, vocabulary_path, max_length=MAX_LENGTH, exclude_seen=True)


def ask(
    served: ServedModel, history: list[list[str]], k: int, exclude_seen: bool
) -> tuple[list[list[str]], np.ndarray]:
    answer = served.signatures["serving_default"](
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
    served = build_served_model(model, vocabulary_path, max_length=MAX_LENGTH, exclude_seen=True)
    assert np.isfinite(ask(served, [["", ""], ["7", ""]], 3, True)[1]).all()


def test_no_histories_give_an_empty_answer(served: ServedModel) -> None:
    keys, scores = ask(served, [], 3, True)
    assert keys == []
    assert scores.shape == (0, 3)


def test_k_beyond_the_catalog_gives_the_catalog(served: ServedModel) -> None:
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


@pytest.mark.parametrize("name", ["serving_default", "recommend_filtered", "score", "step"])
def test_arguments_are_used_only_after_their_check(served_student: ServedModel, name: str) -> None:
    # Else the message of an operation that got a wrong one may come first, now and then.
    graph = served_student.signatures[name].graph
    (after,) = [op for op in graph.get_operations() if op.type in ("TopKV2", "BatchMatMulV2")][-1:]
    seen, unseen = set(), [after]
    while unseen:
        op = unseen.pop()
        seen.add(op.name)
        inputs = [*op.control_inputs, *(tensor.op for tensor in op.inputs)]
        unseen += [one for one in inputs if one.name not in seen]
    checks = {op.name for op in graph.get_operations() if op.type in ("Assert", "If")}
    assert checks
    assert checks <= seen


def test_only_variables_that_serving_reads_are_kept(vocabulary_path: str) -> None:
    class WithProjection(ConvolutionModel):
        def build(self, input_shape: tuple[int | None, ...]) -> None:
            self.projection = self.add_weight(shape=(6, 32), name="training_only")
            super().build(input_shape)

    model = WithProjection(NUM_ITEMS, MAX_LENGTH)
    model(tf.constant([[1]], tf.int64))
    served = build_served_model(model, vocabulary_path, max_length=MAX_LENGTH, exclude_seen=True)
    embedding, convolution = model.sequence_embedding, model.convolution
    table = embedding.item_table.variable
    read = (table, embedding.position_table, convolution.kernel, convolution.bias)
    # The model has the projection and the seeds of two dropouts besides.
    assert len(model.variables) == len(read) + 3
    kept = {id(variable) for variable in served.module.model_variables}
    assert kept == {id(variable.value) for variable in read}


@pytest.fixture(scope="module")
def student() -> Student:
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "dilated_2_conv_3"]])
    return build_student(genotype, StudentConfig(hidden_dim=8), NUM_ITEMS, MAX_LENGTH, seed=1)


@pytest.fixture(scope="module")
def served_student(student: Student, vocabulary_path: str) -> ServedModel:
    return build_served_model(student, vocabulary_path, max_length=MAX_LENGTH, exclude_seen=True)


HISTORIES = [["milk", "Äpfel", "milk", "7", "two words"], ["unknown", "007"], [""]]


def all_scores(served: ServedModel) -> list[dict[str, float]]:
    """For each of `HISTORIES` the score of every item."""
    keys, scores = ask(served, key_matrix(HISTORIES).numpy().tolist(), NUM_ITEMS, False)
    return [
        dict(zip(row, row_scores, strict=True))
        for row, row_scores in zip(keys, scores, strict=True)
    ]


def ask_filtered(
    served: ServedModel, allowed: list[list[str]], denied: list[list[str]], exclude_seen: bool
) -> list[list[str]]:
    answer = served.signatures["recommend_filtered"](
        history=key_matrix(HISTORIES),
        k=tf.constant(NUM_ITEMS),
        exclude_seen=tf.constant(exclude_seen),
        allowed=key_matrix(allowed),
        denied=key_matrix(denied),
    )
    return [[key.decode() for key in row if key] for row in answer["item_ids"].numpy()]


def test_a_student_answers_as_the_student_asked_one_history_at_a_time(
    student: Student, served_student: ServedModel
) -> None:
    scores = all_scores(served_student)
    for row, history in zip(scores, HISTORIES, strict=True):
        known = [KEYS.index(key) + 1 for key in history if key in KEYS]
        states = student(np.array([known[-MAX_LENGTH:] or [0]], np.int64)).final_states[:, -1]
        expected = student.sequence_embedding.item_logits(states)[0].numpy()
        np.testing.assert_allclose([row[key] for key in KEYS], expected, rtol=1e-5, atol=1e-6)


def test_given_candidates_get_the_scores_they_are_ranked_by(served_student: ServedModel) -> None:
    candidates = [["7", "last", "nope"], ["milk", "milk", ""], ["x,y", "7", "007"]]
    score = served_student.signatures["score"]
    scores = score(history=key_matrix(HISTORIES), candidates=tf.constant(candidates))["scores"]
    for row, keys, expected in zip(scores, candidates, all_scores(served_student), strict=True):
        wanted = [expected.get(key, -np.inf) for key in keys]
        np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-6)
    shared = score(history=key_matrix(HISTORIES), candidates=tf.constant(candidates[:1]))["scores"]
    assert shared.shape == (3, 3)
    np.testing.assert_allclose(shared[0], scores[0], rtol=1e-5)


def test_the_user_vector_is_what_items_are_multiplied_with(
    student: Student, served_student: ServedModel
) -> None:
    vectors = served_student.signatures["embed"](history=key_matrix(HISTORIES))["user_vector"]
    products = vectors.numpy() @ student.sequence_embedding.item_vectors().numpy().T
    for row, expected in zip(products, all_scores(served_student), strict=True):
        np.testing.assert_allclose(row, [expected[key] for key in KEYS], rtol=1e-5, atol=1e-6)


def test_filters_allow_and_deny_items_of_each_history(served_student: ServedModel) -> None:
    ranked = [list(row) for row in all_scores(served_student)]
    allowed = [["7", "last", "?"], ["", ""], ["?"]]
    denied = [["last"], ["milk", "x,y", "x,y"], [""]]
    answers = ask_filtered(served_student, allowed, denied, exclude_seen=False)
    assert answers[0] == ["7"]
    assert answers[1] == [key for key in ranked[1] if key not in ("milk", "x,y")]
    assert answers[2] == [], "nothing of what is allowed is known"


def test_one_row_of_filters_is_for_all_and_seen_items_are_left_out(
    served_student: ServedModel,
) -> None:
    ranked = [list(row) for row in all_scores(served_student)]
    answers = ask_filtered(served_student, [["milk", "7", "007"]], [["007"]], exclude_seen=True)
    assert answers[0] == []
    assert answers[1] == [key for key in ranked[1] if key in ("milk", "7")]


@pytest.mark.parametrize("name", ["allowed", "denied"])
def test_filters_for_another_number_of_histories_are_refused(
    served_student: ServedModel, name: str
) -> None:
    filters = {"allowed": [[""]], "denied": [[""]]} | {name: [["7"]] * 2}
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"`{name}` should have one row"):
        ask_filtered(served_student, **filters, exclude_seen=False)


def test_candidates_for_another_number_of_histories_are_refused(
    served_student: ServedModel,
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="`candidates` should have one row"):
        served_student.signatures["score"](
            history=key_matrix(HISTORIES[:1]), candidates=tf.constant([["7"]] * 2)
        )


def test_examples_are_answered_as_histories(served_student: ServedModel) -> None:
    examples = [serialized_example(history) for history in HISTORIES]
    examples.append(tf.train.Example().SerializeToString())
    answer = served_student.signatures["from_examples"](examples=tf.constant(examples))
    keys, scores = ask(
        served_student, key_matrix([*HISTORIES, []]).numpy().tolist(), EXAMPLES_K, True
    )
    assert [[key.decode() for key in row] for row in answer["item_ids"].numpy()] == keys
    np.testing.assert_array_equal(answer["scores"], scores)


def step(served: ServedModel, item: list[str], session: np.ndarray, denied: list[str]) -> dict:
    return served.signatures["step"](
        item=tf.constant(item),
        session=tf.constant(session),
        k=tf.constant(3),
        denied=tf.constant([denied]),
    )


def test_a_session_is_recommended_what_its_history_is(served_student: ServedModel) -> None:
    session = np.zeros([2, 0], np.float32)
    items = [["milk", "7"], ["nope", "x,y"], ["Äpfel", "7"]]
    for number, item in enumerate(items, 1):
        answer = step(served_student, item, session, ["milk", ""])
        session = answer["session"].numpy()
        histories = [list(history) for history in zip(*items[:number], strict=True)]
        expected = served_student.signatures["recommend_filtered"](
            history=tf.constant(histories),
            k=tf.constant(3),
            exclude_seen=tf.constant(False),
            allowed=tf.constant([[""]]),
            denied=tf.constant([["milk"]]),
        )
        np.testing.assert_array_equal(answer["item_ids"], expected["item_ids"])
        np.testing.assert_allclose(answer["scores"], expected["scores"], rtol=1e-5, atol=1e-6)


def test_a_session_too_long_or_of_another_size_is_refused(served_student: ServedModel) -> None:
    session = np.zeros([1, served_student.session_size], np.float32)
    for _ in range(MAX_LENGTH):
        session = step(served_student, ["milk"], session, [""])["session"].numpy()
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most {MAX_LENGTH} items"):
        step(served_student, ["milk"], session, [""])
    with pytest.raises(tf.errors.InvalidArgumentError, match="should have a row of"):
        step(served_student, ["milk", "7"], session * 0, [""])
    with pytest.raises(tf.errors.InvalidArgumentError, match="should have a row of"):
        step(served_student, ["milk"], session[:, 1:], [""])


@pytest.mark.parametrize("num_items", [-1.0, 0.5, -0.5, np.nan])
def test_a_session_of_no_number_of_items_is_refused(
    served_student: ServedModel, num_items: float
) -> None:
    session = np.zeros([2, served_student.session_size], np.float32)
    session = step(served_student, ["milk", "7"], session, [""])["session"].numpy()
    session[1, 0] = num_items
    with pytest.raises(tf.errors.InvalidArgumentError, match="what an earlier step gave"):
        step(served_student, ["7", "7"], session, [""])


def test_only_a_student_has_sessions(served: ServedModel, served_student: ServedModel) -> None:
    assert served.session_size == 0
    assert set(served_student.signatures) - set(served.signatures) == {"step"}


def test_all_signatures_share_an_encoder_and_the_scoring_of_items(
    served_student: ServedModel,
) -> None:
    called = {}
    for name in ("serving_default", "recommend_filtered", "score", "embed", "from_examples"):
        graph = served_student.signatures[name].graph
        calls = [op for op in graph.get_operations() if op.type.endswith("PartitionedCall")]
        called[name] = {call.get_attr("f").name for call in calls}
    [encoder] = called["embed"]
    assert called["score"] == {encoder}
    assert encoder in called["serving_default"]
    assert len(called["serving_default"]) == 2
    assert called["from_examples"] == called["serving_default"] == called["recommend_filtered"]
