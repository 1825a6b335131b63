from pathlib import Path

import keras
import numpy as np
import pytest

from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.built_in import generate_sample_scene
from adarec_tf.export.recommender import Recommender, export, load
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.student import Student

DATA = Dataset.from_interactions(generate_sample_scene(num_users=50), max_length=8)
KEYS = DATA.vocabulary.keys


@pytest.fixture(scope="module")
def student() -> Student:
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "conv_3"]])
    return Student.for_dataset(DATA, genotype=genotype, hidden_dim=8)


@pytest.fixture(scope="module")
def recommend(student: Student) -> Recommender:
    return Recommender(student, DATA.vocabulary)


def test_the_best_items_are_those_of_the_model_s_scores(
    student: Student, recommend: Recommender
) -> None:
    history = [3, 9, 4]
    [scores] = student.predict(np.array([history]), verbose=0)
    scores[np.array(history) - 1] = -np.inf
    answer = recommend([KEYS[item - 1] for item in history], k=5)
    assert [item.item_id for item in answer] == [KEYS[row] for row in np.argsort(-scores)[:5]]
    assert [item.score for item in answer] == pytest.approx(-np.sort(-scores)[:5], rel=1e-5)


def test_several_histories_have_a_list_each(recommend: Recommender) -> None:
    first, second = recommend([[KEYS[0]], ["unknown", KEYS[1], KEYS[2]]], k=3)
    for several, alone in ((first, [KEYS[0]]), (second, [KEYS[1], KEYS[2]])):
        expected = recommend(alone, k=3)
        assert [item.item_id for item in several] == [item.item_id for item in expected]
        scores = [item.score for item in expected]
        assert [item.score for item in several] == pytest.approx(scores, rel=1e-5)
    # A newcomer gets what is popular.
    assert [item.item_id for item in recommend([], k=3)] == list(KEYS[:3])


def test_items_are_allowed_and_denied(recommend: Recommender) -> None:
    allowed = recommend([KEYS[0]], k=5, allowed=[KEYS[4], KEYS[5], KEYS[0]])
    assert {item.item_id for item in allowed} == {KEYS[4], KEYS[5]}
    kept = recommend([KEYS[0]], k=5, exclude_seen=False, allowed=[KEYS[4], KEYS[0]])
    assert {item.item_id for item in kept} == {KEYS[4], KEYS[0]}
    best = recommend([KEYS[0]], k=2)
    assert recommend([KEYS[0]], k=1, denied=[best[0].item_id]) == best[1:]
    assert recommend([KEYS[0]], k=5, allowed=[]) == []


def test_a_bundle_answers_as_the_model_it_is_of(recommend: Recommender, tmp_path: Path) -> None:
    export(recommend, tmp_path / "1")
    loaded = load(tmp_path / "1")
    assert loaded(KEYS[:2], k=4) == recommend(KEYS[:2], k=4)
    assert loaded.manifest["num_items"] == DATA.num_items
    with pytest.raises(ValueError, match=r"made of a model: a bundle can be copied"):
        export(loaded, tmp_path / "2")


def test_a_saved_model_is_loaded_by_its_name(student: Student, tmp_path: Path) -> None:
    student.save(tmp_path / "student.keras")
    loaded = load(tmp_path / "student.keras")
    assert isinstance(loaded, keras.Model)
    item_ids = np.array([[0, 1, 2]])
    np.testing.assert_array_equal(
        loaded.predict(item_ids, verbose=0), student.predict(item_ids, verbose=0)
    )


def test_what_does_not_fit_is_an_error(student: Student, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"`vocabulary`.*Received: {DATA.num_items} and 2 items"):
        Recommender(student, ItemVocabulary(("a", "b")))
    with pytest.raises(ValueError, match=r"positive integer\. Received: k=0"):
        Recommender(student, DATA.vocabulary)([KEYS[0]], k=0)
    with pytest.raises(ValueError, match=r"a file \*.keras or the folder of a bundle"):
        load(tmp_path)
