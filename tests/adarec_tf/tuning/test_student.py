import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pyarrow.compute as pc
import pytest

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import Budget, SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.log.built_in import generate_sample_scene
from adarec_tf.evaluation.accuracy import evaluate
from adarec_tf.export.recommender import Recommender
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.teachers.sasrec import SASRec
from adarec_tf.tuning import memory
from adarec_tf.tuning import student as student_search
from adarec_tf.tuning.memory import needs_of_histories, needs_of_student
from adarec_tf.tuning.student import distill, search, take_users

DATA = Dataset.from_interactions(generate_sample_scene(num_users=80), max_length=8)
FRAME = StudentConfig(hidden_dim=8, num_cells=1, num_nodes=2)
SEARCH = SearchConfig(max_epochs=2, warmup_epochs=1, positions_per_batch=512)


@pytest.fixture(scope="module")
def teacher() -> SASRec:
    return SASRec.for_dataset(DATA, hidden_dim=8, num_blocks=1, feed_forward_dim=8)


def test_a_student_is_searched_within_a_budget_and_distilled(teacher: SASRec) -> None:
    config = DistillationConfig(max_epochs=1, positions_per_batch=512)
    options = {"student": FRAME, "search": SEARCH, "distillation": config, "seed": 3}
    genotype = search(teacher, DATA, **options)
    assert isinstance(genotype, Genotype)
    assert search(teacher, DATA, **options) == genotype
    student = distill(teacher, genotype, DATA, student=FRAME, config=config)
    assert student.vocabulary_fingerprint == DATA.vocabulary.fingerprint
    assert student.genotype == genotype
    assert student.seen == DATA.seen
    with pytest.raises(ValueError, match=r"max_parameters.*Received: 1; raise it .*`budget`"):
        search(teacher, DATA, budget=Budget(parameters=1), **options)


def test_a_search_that_does_not_fit_the_memory_is_an_error_before_it_begins(
    teacher: SASRec, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    monkeypatch.setattr(student_search, "check_memory", lambda *given: checked.append(given))
    monkeypatch.setattr(student_search, "find_costs", lambda *given, **options: 1 / 0)
    config = DistillationConfig(positions_per_batch=2048, logits_items="sampled")
    teachers = [teacher, SASRec.for_dataset(DATA, hidden_dim=8, num_blocks=1, seed=1)]
    widths = SEARCH.replace(hidden_dims=(4, 12))
    with pytest.raises(ZeroDivisionError):
        search(teachers, DATA, student=FRAME, search=widths, distillation=config)
    histories = needs_of_histories(DATA.train)
    needs = needs_of_student(DATA.num_items, 16, 12, 2048, config)
    assert checked == [("Search and distillation of the student", [histories, *needs], 1)]
    monkeypatch.undo()
    monkeypatch.setattr(memory, "available_bytes", lambda: 1_400_000_000)
    with pytest.raises(ValueError, match="Search and distillation of the student should fit"):
        search(teacher, DATA, student=FRAME, search=SEARCH)


def test_a_teacher_of_other_items_is_an_error(teacher: SASRec) -> None:
    other = Dataset.from_interactions(generate_sample_scene(num_users=80, num_items=60))
    genotype = Genotype.from_primitives(2, [["skip", "skip", "skip"]])
    message = rf"`teacher` .* as `dataset`.*Received: {DATA.num_items} and {other.num_items} items"
    with pytest.raises(ValueError, match=message):
        search(teacher, other)
    with pytest.raises(ValueError, match=message):
        distill(teacher, genotype, other)


def test_a_teacher_of_as_many_other_items_is_an_error_that_outlives_saving(
    teacher: SASRec, tmp_path: Path
) -> None:
    log = generate_sample_scene(num_users=80)
    others = pc.binary_join_element_wise("x", log["item_id"], "-")
    other = Dataset.from_interactions(log.set_column(1, "item_id", others), max_length=8)
    assert other.num_items == DATA.num_items
    teacher.save(tmp_path / "teacher.keras")
    loaded = keras.saving.load_model(tmp_path / "teacher.keras")
    genotype = Genotype.from_primitives(2, [["skip", "skip", "skip"]])
    message = "`teacher` should know the same items as `dataset`.*items, but others"
    for members in (teacher, loaded, [SASRec.for_dataset(other, hidden_dim=8), loaded]):
        with pytest.raises(ValueError, match=message):
            search(members, other)
        with pytest.raises(ValueError, match=message):
            distill(members, genotype, other)
    with pytest.raises(ValueError, match=r"`models\['first'\]` should know .* but others"):
        evaluate({"first": loaded}, other)
    with pytest.raises(ValueError, match=r"`model` should know .* as `vocabulary`.* but others"):
        Recommender(loaded, other.vocabulary)


@pytest.mark.parametrize("num", [0, 80, 99])
def test_all_users_are_taken_as_they_are(num: int) -> None:
    train, valid = take_users(DATA.train, DATA.valid, num, seed=1)
    assert train is DATA.train
    assert valid is DATA.valid


def test_the_same_users_are_taken_of_both_splits() -> None:
    valid = DATA.valid.take(np.arange(60)[::-1])  # in another order, and some have no target
    train, taken = take_users(DATA.train, valid, 30, seed=1)
    assert train.num_users == 30
    places = {key: place for place, key in enumerate(DATA.train.user_keys)}
    for place, key in enumerate(train.user_keys):
        np.testing.assert_array_equal(train.history(place), DATA.train.history(places[key]))
    assert list(taken.user_keys) == [key for key in valid.user_keys if key in set(train.user_keys)]
    assert 0 < taken.num_users < 30
    again, _ = take_users(DATA.train, valid, 30, seed=1)
    np.testing.assert_array_equal(again.user_keys, train.user_keys)
    other, _ = take_users(DATA.train, valid, 30, seed=2)
    assert set(other.user_keys) != set(train.user_keys)


def test_each_call_hands_on_its_own_splits_seed_and_protocol(
    teacher: SASRec, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Dataset.from_interactions(
        generate_sample_scene(num_users=80), max_length=8, seen="keep", repeats="keep"
    )
    given: dict[str, dict[str, Any]] = {}

    def record(module: Any, function: str, result: Any) -> None:
        names = list(inspect.signature(getattr(module, function)).parameters)

        def fake(*values: Any, **options: Any) -> Any:
            given[function] = {**dict(zip(names, values, strict=False)), **options}
            return result

        monkeypatch.setattr(module, function, fake)

    genotype = Genotype.from_primitives(2, [["skip", "skip", "skip"]])
    record(student_search, "find_genotype", student_search.FoundGenotype(genotype, None))
    record(student_search, "train_student", (SimpleNamespace(), []))
    search(teacher, data, budget=Budget(macs=7), student=FRAME, search=SEARCH, seed=5)
    distill(teacher, genotype, data, student=FRAME, seed=6)
    found, trained = given["find_genotype"], given["train_student"]
    for values in (found, trained):
        assert values["teacher"] is teacher
        assert values["train"] is data.train
        assert values["valid"] is data.valid
        assert values["student"] is FRAME
    assert (found["seed"], found["seen"], found["max_length"]) == (5, "keep", 8)
    assert found["search"] == SEARCH.replace(max_macs=7)
    # What is decided beside a frame goes with it: no bytes that were aimed at for another width.
    search(teacher, data, student=FRAME)
    assert given["find_genotype"]["search"].max_bytes == 0
    search(teacher, data)
    assert given["find_genotype"]["search"].max_bytes > 0
    assert trained["genotype"] is genotype
    assert (trained["seed"], trained["statistics"]) == (6, data.statistics)
