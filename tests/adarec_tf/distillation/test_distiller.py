import itertools
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.distillation import distiller as distiller_module
from adarec_tf.distillation.distiller import Distiller, distill_student, train_student
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.models.teachers import build_teacher
from tests.adarec_tf import walk_scene
from tests.event_files import read_scalars
from tests.references.ranking_metrics import metrics_of_ranks, rank_of_target
from tests.references.transport import updated_mass

NUM_ITEMS, LENGTH = walk_scene.NUM_ITEMS, walk_scene.MAX_LENGTH
CONFIG = DistillationConfig(max_epochs=2, patience=2, positions_per_batch=256, hidden_weight=1.0)


GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "conv_5"]] * 2)
STUDENT = StudentConfig(hidden_dim=8, num_cells=2, num_nodes=2)


def _student(**changes: Any) -> keras.Model:
    return build_student(GENOTYPE, STUDENT.replace(**changes), NUM_ITEMS, LENGTH, seed=2)


def _teacher(num_items: int = NUM_ITEMS) -> keras.Model:
    config = NextItNetConfig(hidden_dim=12, num_blocks=3, dropout=0.0)
    return build_teacher(config, num_items, LENGTH, seed=1)


def _distill(
    student: keras.Model, scene: dict[str, Histories], folder: Path, **changes: Any
) -> list[dict[str, float]]:
    names = changes.keys() & {"windows", "max_cache_bytes", "compute_dtype"}
    options = {name: changes.pop(name) for name in names}
    return distill_student(
        student,
        _teacher(),
        scene["train"],
        scene["valid"],
        CONFIG.replace(**changes),
        seen="exclude",
        seed=3,
        checkpoint_dir=str(folder / "checkpoint"),
        log_dir=str(folder / "log"),
        **options,
    )


def test_every_distillation_term_falls(tmp_path: Path) -> None:
    changes = {"max_epochs": 6, "patience": 6, "learning_rate": 1e-2, "kd_weight": 1.0}
    history = _distill(_student(), walk_scene.histories(), tmp_path, **changes)
    for term in ("embedding_kd", "hidden_kd", "logits_kd"):
        assert history[-1][term] < history[0][term], term


class _Distilled(NamedTuple):
    student: keras.Model
    teacher: keras.Model
    history: list[dict[str, float]]
    folder: Path


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> _Distilled:
    """A distillation as `CONFIG` has it, with the teacher cached."""
    scene, folder = walk_scene.histories(), tmp_path_factory.mktemp("distilled")
    teacher, student = _teacher(), _student()
    history = distill_student(
        student, teacher, scene["train"], scene["valid"], CONFIG,
        seen="exclude", seed=3, checkpoint_dir=str(folder),
    )  # fmt: skip
    return _Distilled(student, teacher, history, folder)


def test_the_teacher_is_not_changed_and_the_student_is(distilled: _Distilled) -> None:
    for fresh, variable in zip(_teacher().weights, distilled.teacher.weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), fresh.numpy())
    student = distilled.student
    for fresh, variable in zip(
        _student().trainable_variables, student.trainable_variables, strict=True
    ):
        assert np.any(variable.numpy() != fresh.numpy()), variable.path


class _KilledError(Exception):
    pass


def test_an_interrupted_distillation_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = walk_scene.histories()
    whole, resumed = _student(), _student()
    expected_history = _distill(whole, scene, tmp_path / "whole", max_epochs=3, patience=3)
    evaluate, calls = Distiller.evaluate, itertools.count()

    def killed_in_the_second_epoch(*args: Any, **kwargs: Any) -> dict[str, float]:
        if next(calls) == 1:
            raise _KilledError
        return evaluate(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Distiller, "evaluate", killed_in_the_second_epoch)
        with pytest.raises(_KilledError):
            _distill(_student(), scene, tmp_path / "cut", max_epochs=3, patience=3)
    history = _distill(resumed, scene, tmp_path / "cut", max_epochs=3, patience=3)
    assert len(history) == 3
    for name, value in expected_history[-1].items():
        if "mass[" in name:
            assert history[-1][name] == pytest.approx(value, rel=1e-5), name
    logged = read_scalars(tmp_path / "cut" / "log" / "train")
    assert [epoch for epoch, _ in logged["epoch_hidden_kd"]] == [0, 1, 2]
    for expected, variable in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_different_catalogs_are_refused(tmp_path: Path) -> None:
    scene = walk_scene.histories()
    with pytest.raises(ValueError, match=r"`student`.* Received: 16 and 17"):
        distill_student(
            _student(), _teacher(17), scene["train"], scene["valid"], CONFIG,
            seen="exclude", seed=3, checkpoint_dir=str(tmp_path),
        )  # fmt: skip


def test_padding_does_not_change_the_objective() -> None:
    student, teacher = _student(), _teacher()
    objective = DistillationObjective(student.sequence_embedding, 2, teacher, CONFIG)
    items = np.random.default_rng(0).integers(1, NUM_ITEMS + 1, (4, 7))
    totals = []
    for padding in (0, 3):
        padded = np.pad(items, [(0, 0), (padding, 0)])
        item_ids, labels = tf.constant(padded[:, :-1]), tf.constant(padded[:, 1:])
        labels = tf.where(item_ids == 0, tf.zeros_like(labels), labels)
        value = objective(student(item_ids), objective.teacher_states(item_ids, labels), labels)
        totals.append([float(value.total), *map(float, value.distillation)])
    np.testing.assert_allclose(totals[0], totals[1], rtol=1e-5)


def test_a_step_leaves_the_masses_that_its_costs_ask_for() -> None:
    student = _student(dropout=0.0)
    distiller = Distiller(student, _teacher(), CONFIG)
    distiller.compile()
    masses = ([0.7, 0.3], [0.2, 0.3, 0.5])
    distiller.student_mass.assign(masses[0])
    distiller.teacher_mass.assign(masses[1])
    items = np.random.default_rng(0).integers(1, NUM_ITEMS + 1, (4, 7))
    item_ids, labels = tf.constant(items[:, :-1]), tf.constant(items[:, 1:])
    states = distiller._objective.teacher_states(item_ids, labels)
    costs = distiller._objective(student(item_ids), states, labels).layer_costs.numpy()
    distiller.train_step((item_ids, (labels, states)))
    for mass, before, paid in zip(
        (distiller.student_mass, distiller.teacher_mass),
        masses,
        (costs.sum(axis=1), costs.sum(axis=0)),
        strict=True,
    ):
        expected = updated_mass(before, paid.tolist())
        np.testing.assert_allclose(mass, expected, rtol=1e-4)
        assert np.all(np.abs(np.subtract(expected, before)) > 1e-3)


def test_the_asked_teacher_trains_the_student_that_the_cached_one_does(
    distilled: _Distilled, tmp_path: Path
) -> None:
    student = _student()
    _distill(student, walk_scene.histories(), tmp_path, max_cache_bytes=0)
    assert not (tmp_path / "checkpoint" / "teacher_states").exists()
    assert (distilled.folder / "teacher_states").exists()
    for asked, cached in zip(
        student.trainable_variables, distilled.student.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(cached.numpy(), asked.numpy(), rtol=1e-3, atol=1e-4)


def _check_sums(history: list[dict[str, float]]) -> None:
    for record in history:
        for name in ("plan", "student_mass", "teacher_mass"):
            numbers = [value for key, value in record.items() if key.startswith(f"{name}[")]
            assert sum(numbers) == pytest.approx(1.0, abs=1e-4)


def test_a_record_holds_the_plan_and_the_masses(distilled: _Distilled) -> None:
    _check_sums(distilled.history)
    first, last = distilled.history
    assert first["plan[2,3]"] != pytest.approx(0.5)
    assert 0.5 != first["student_mass[1]"] != last["student_mass[1]"]
    assert 1 / 3 != first["teacher_mass[1]"] != last["teacher_mass[1]"]


def test_the_student_ranks_by_what_it_has_in_view(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [["conv_3", "skip", "none"]]
    genotype = Genotype.from_primitives(2, cells)
    student = build_student(genotype, STUDENT, NUM_ITEMS, LENGTH, seed=2)
    distiller, computed = Distiller(student, _teacher()), []
    outputs = student._outputs

    def recorded(embedding: tf.Tensor, *arguments: Any, **options: Any) -> Any:
        computed.append(embedding.shape[1])
        return outputs(embedding, *arguments, **options)

    monkeypatch.setattr(student, "_outputs", recorded)
    item_ids = tf.constant(np.random.default_rng(1).integers(1, NUM_ITEMS + 1, (3, LENGTH)))
    scores = distiller.predict_on_batch(item_ids)
    whole = distiller(item_ids).final_states[:, -1]
    np.testing.assert_allclose(scores, student.sequence_embedding.item_logits(whole), atol=1e-5)
    distiller.compile(run_eagerly=True)
    computed.clear()
    distiller.test_on_batch(item_ids, tf.constant([1, 2, 3], tf.int64))
    assert computed == [genotype.receptive_field] == [3]


def test_the_weights_that_stay_are_the_best_without_the_items_seen(distilled: _Distilled) -> None:
    valid = walk_scene.histories()["valid"]
    scores = distilled.student.predict(valid, verbose=0)
    found = {}
    for exclude_seen in (True, False):
        ranks = [
            rank_of_target(list(row), target, list(valid.history(user)), exclude_seen)
            for user, (row, target) in enumerate(zip(scores, valid.targets, strict=True))
        ]
        found[exclude_seen] = metrics_of_ranks(ranks, 10)["ndcg@10/full"]
    best = max(record["val_ndcg@10"] for record in distilled.history)
    assert best == pytest.approx(found[True], abs=1e-6)
    assert best != pytest.approx(found[False], abs=1e-2)


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_a_student_is_trained_as_its_scene_says(
    seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(
        distiller_module,
        "distill_student",
        lambda *values, **options: calls.append((values, options)),
    )
    scene, teacher = walk_scene.histories(), _teacher()
    statistics = SequenceStatistics(
        num_users=120,
        num_items=NUM_ITEMS,
        vocabulary_bytes=1234,
        num_interactions=800,
        removed={},
        repeat_share=0.0,
        seen=seen,
        max_length=LENGTH,
        windows="all",
        data_fingerprint="toy",
    )
    model, _ = train_student(
        GENOTYPE, STUDENT, teacher, scene["train"], scene["valid"], CONFIG,
        statistics=statistics, seed=3, checkpoint_dir=str(tmp_path), log_dir="log",
        windows="all", compute_dtype="bfloat16",
    )  # fmt: skip
    [(values, options)] = calls
    for value, expected in zip(
        values, (model, teacher, scene["train"], scene["valid"], CONFIG), strict=True
    ):
        assert value is expected
    assert options == {
        "seen": seen,
        "seed": 3,
        "checkpoint_dir": str(tmp_path),
        "log_dir": "log",
        "start_counts": False,
        "windows": "all",
        "compute_dtype": "bfloat16",
    }
    embedding = model.sequence_embedding
    assert (embedding.num_items, embedding.max_length, embedding.hidden_dim) == (16, 8, 8)


def test_a_student_may_begin_with_the_table_of_its_teacher(tmp_path: Path) -> None:
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "conv_5"]])
    config = StudentConfig(hidden_dim=12, num_cells=1, num_nodes=2)
    student = build_student(genotype, config, NUM_ITEMS, LENGTH, seed=2)
    changes = {"initial_table": "teacher", "learning_rate": 1e-9, "max_epochs": 1}
    _distill(student, walk_scene.histories(), tmp_path, **changes)
    np.testing.assert_allclose(
        student.sequence_embedding.item_vectors(),
        _teacher().sequence_embedding.item_vectors(),
        atol=1e-6,
    )


@pytest.mark.parametrize("table", ["teacher", "random"])
def test_a_student_that_begins_with_a_table_learns_from_some_users_of_a_large_log(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[Histories] = []

    def fit(model: Any, train: Histories, *_: Any, **options: Any) -> list[dict[str, float]]:
        taught.append(train)
        return []

    train = walk_scene.histories()["train"]
    num_positions = int((train.lengths - 1).sum())
    monkeypatch.setattr(distiller_module, "fit", fit)
    monkeypatch.setattr(distiller_module, "MAX_POSITIONS", num_positions // 4)
    _distill(_student(), walk_scene.histories(), tmp_path, initial_table=table)
    [histories] = taught
    share = 0.25 if table == "teacher" else 1.0
    assert histories.num_users == pytest.approx(share * train.num_users, abs=1)
    drawn = sample_users(train, histories.num_users, 3)  # by the seed of the training
    np.testing.assert_array_equal(histories.user_keys, drawn.user_keys)


def test_other_windows_in_every_epoch_are_not_looked_up_and_a_mapping_is_its_plan(
    tmp_path: Path,
) -> None:
    changes = {"windows": "all", "hidden_mapping": "uniform"}
    history = _distill(_student(), walk_scene.histories(), tmp_path, **changes)
    assert len(history) == 2
    assert not (tmp_path / "checkpoint" / "teacher_states").exists()
    _check_sums(history)
    # Equal steps: from the second of three layers, and from the last.
    assert history[0]["plan[1,2]"] == history[0]["plan[2,3]"] == pytest.approx(0.5)


def test_the_logits_are_of_the_numbers_asked_for(distilled: _Distilled, tmp_path: Path) -> None:
    [record] = _distill(
        _student(), walk_scene.histories(), tmp_path, max_epochs=1, compute_dtype="bfloat16"
    )
    assert record["task"] == pytest.approx(distilled.history[0]["task"], rel=0.05)
    assert record["task"] != distilled.history[0]["task"]


def test_several_teachers_teach_together(tmp_path: Path) -> None:
    scene = walk_scene.histories()
    config = NextItNetConfig(hidden_dim=12, num_blocks=1, dropout=0.0)
    teachers = [build_teacher(config, NUM_ITEMS, LENGTH, seed=seed) for seed in (1, 2)]
    num_layers = sum(len(t(tf.ones([1, 1], tf.int64)).hidden_states) for t in teachers)
    settings = CONFIG.replace(max_epochs=4, patience=4, learning_rate=1e-2, kd_weight=1.0)
    history = distill_student(
        _student(), EnsembleTeacher(teachers), scene["train"], scene["valid"], settings,
        seen="exclude", seed=3, checkpoint_dir=str(tmp_path),
    )  # fmt: skip
    assert f"teacher_mass[{num_layers}]" in history[0]
    assert f"teacher_mass[{num_layers + 1}]" not in history[0]
    assert history[-1]["logits_kd"] < history[0]["logits_kd"]


@pytest.mark.parametrize("weights", [{}, {"hidden_weight": 1.0}, {"embedding_weight": 1.0}])
def test_of_the_teacher_is_kept_what_a_term_reads(
    weights: dict[str, float], tmp_path: Path
) -> None:
    config = DistillationConfig(embedding_weight=0.0, hidden_weight=0.0).replace(**weights)
    teacher, train = _teacher(), walk_scene.histories()["train"]
    distiller = Distiller(_student(), teacher, config, cache_dir=str(tmp_path))
    num_layers = len(teacher(tf.ones([1, 1], tf.int64)).hidden_states)
    num_states = 2 + num_layers if weights else 1  # embedding, layers and final states, or these
    kept = distiller._read_teacher(train, True)
    assert kept.num_bytes == num_states * 12 * 4 * len(train.item_ids)
